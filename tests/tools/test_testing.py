import os
import subprocess
import sys

from config.local import ROOT
from tools.launcher.runnote import RunNote
from tools.launcher.testing import find_browser

PROBE = """
import os

def test_probe():
    import psycopg
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        fsync = connection.execute("SHOW fsync").fetchone()[0]
    print("PROBE", fsync, sorted(name for name in os.environ if name.startswith("OPENROUTER_")), os.environ["DATA_DIR"])
    assert not os.environ["ENV_FILE"] and len(os.environ["SECRET_KEY"]) > 50
"""


def run_tests(folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environment |= {"DATA_DIR": str(folder), "CHROMIUM": "", "OPENROUTER_API_KEY": "sk-or-v1-real"}
    words = [sys.executable, str(ROOT / "tools" / "dev.py"), "test", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)


def test_tests_get_losable_databases_of_their_own_and_no_provider(folder):
    (folder / "test_probe.py").write_text(PROBE)
    result = run_tests(folder, "-s", "--rootdir", str(folder), str(folder / "test_probe.py"))
    assert f"PROBE off [] {folder}/test\n" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0
    assert "1 passed" in result.stdout.splitlines()[-1]
    assert "Browser tests        skipped" in result.stdout


def test_second_run_beside_the_first_takes_another_place_and_keeps_pytests_exit_code(folder):
    with RunNote(folder, prefix="test-").locked():
        result = run_tests(folder, str(folder / "no_such_test.py"))
    assert result.returncode == 4
    assert (folder / "test-2-postgres-18").exists()
    assert not (folder / "test-postgres-18").exists()


def test_browser_can_be_named_or_switched_off(monkeypatch):
    monkeypatch.setenv("CHROMIUM", "/opt/chromium")
    assert find_browser() == "/opt/chromium"
    monkeypatch.setenv("CHROMIUM", "")
    assert find_browser() is None


def test_the_browser_without_a_window_is_preferred(monkeypatch):
    monkeypatch.delenv("CHROMIUM", raising=False)
    there = {"chromium": "/usr/bin/chromium", "google-chrome": "/usr/bin/google-chrome"}
    monkeypatch.setattr("shutil.which", there.get)
    assert find_browser() == "/usr/bin/chromium"
    there["chromium-headless-shell"] = "/usr/bin/chromium-headless-shell"
    assert find_browser() == "/usr/bin/chromium-headless-shell"
