"""The wheel builds and works alone: with its one dependency and nothing of the server."""

import subprocess
import venv
import zipfile
from pathlib import Path

import httpx
from flit_core import buildapi

PROJECT = Path(__file__).parents[2] / "sdk/python"
SCRIPT = """
import importlib.util, farebox, farebox.webhooks, farebox.strategies.openai, farebox.middleware.asgi
assert importlib.util.find_spec("django") is None
assert "site-packages" in farebox.__file__
print(farebox.Farebox("k", "https://x").config.headers["User-Agent"])
"""


def test_the_wheel_installs_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    wheel = tmp_path / buildapi.build_wheel(str(tmp_path))
    names = zipfile.ZipFile(wheel).namelist()
    assert {"farebox/__init__.py", "farebox/py.typed", "farebox/strategies/openai.py"} <= set(names)
    assert all(name.startswith(("farebox/", "farebox-0.1.0.dist-info/")) for name in names)

    venv.create(tmp_path / "alone", with_pip=False, symlinks=True)
    packages = next((tmp_path / "alone/lib").iterdir()) / "site-packages"
    zipfile.ZipFile(wheel).extractall(packages)
    for needed in ("httpx", "httpcore", "anyio", "sniffio", "idna", "certifi", "h11", "typing_extensions.py"):
        installed = Path(httpx.__file__).parents[1] / needed
        if installed.exists():
            (packages / needed).symlink_to(installed)
    command = [tmp_path / "alone/bin/python", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""}, cwd=tmp_path)
    assert done.stdout.strip() == "farebox-python/0.1.0", done.stderr


def test_public_names_are_exported():
    import farebox

    assert sorted(farebox.__all__) == farebox.__all__
    assert all(hasattr(farebox, name) for name in farebox.__all__)
