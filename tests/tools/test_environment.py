import os
import stat

import pytest

from tools.launcher.console import Failure
from tools.launcher.environment import LOCKS, Environment
from tools.launcher.signals import StopSignals


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose installer notes its arguments instead of fetching anything."""
    for lock in LOCKS:
        (tmp_path / lock).write_text("# none\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
if [ "$1" = venv ]; then mkdir -p .venv/bin; cp tools/python .venv/bin/python; fi
test ! -e {tmp_path}/offline
"""
    )
    (tools / "python").write_text('#!/bin/sh\ntest "$1" = -c\n')  # new enough, and without pip
    for program in tools.iterdir():
        program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def calls(project):
    """The installer's calls since the last look, by their first word."""
    file = project / "calls"
    words = [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    return words


def ensure(project, lock):
    Environment(project).ensure(lock, StopSignals())
    return calls(project)


def test_environment_is_made_once_and_filled_again_only_when_its_lock_changes(project):
    assert ensure(project, "requirements.lock") == ["venv", "pip"]
    assert ensure(project, "requirements.lock") == []
    (project / "requirements.lock").write_text("# another\n")
    assert ensure(project, "requirements.lock") == ["pip"]


def test_larger_lock_holds_the_smaller_ones(project):
    assert ensure(project, "requirements-dev.lock") == ["venv", "pip"]
    assert ensure(project, "requirements.lock") == []
    assert ensure(project, "requirements-browser.lock") == ["pip"]


def test_installation_that_failed_is_tried_again(project):
    ensure(project, "requirements.lock")
    (project / "requirements.lock").write_text("no-such-package==1 --hash=sha256:00\n")
    (project / "offline").touch()
    with pytest.raises(Failure, match="`python -m ensurepip` failed"):  # pip would have been tried next
        ensure(project, "requirements.lock")
    (project / "offline").unlink()
    calls(project)
    assert ensure(project, "requirements.lock") == ["pip"]


def test_environment_whose_python_is_gone_is_made_anew(project):
    ensure(project, "requirements.lock")
    (project / ".venv" / "bin" / "python").unlink()
    (project / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    assert ensure(project, "requirements.lock") == ["venv", "pip"]
