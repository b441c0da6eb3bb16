"""The Python environment: made from nothing, brought up to date when a lock changes."""

import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.launcher.console import Failure, step
from tools.launcher.foreground import run_quietly
from tools.launcher.runnote import write_private
from tools.launcher.signals import StopSignals

LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-browser.lock",
)  # each holds those before it


class Environment:
    """``.venv`` of one project folder, filled from its lock files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._installed = self.folder / "installed-locks.json"

    def ensure(self, lock: str, stop: StopSignals) -> None:
        """Have everything in ``lock`` installed; nothing to do when its hash is the one noted last time."""
        self.folder.mkdir(exist_ok=True)
        with step("Python packages") as remark, _alone(self.folder):
            if not self._usable():
                self._make(stop)
            if self._noted().get(lock) == self._hash(lock):
                remark("ready")
                return
            remark(f"installing from {lock}")
            self._install(lock, stop)
            self._note(lock)

    def _usable(self) -> bool:
        if not self.python.exists():
            return False
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        return subprocess.run([self.python, "-c", check], capture_output=True, check=False).returncode == 0

    def _noted(self) -> dict[str, str]:
        try:
            return json.loads(self._installed.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def _note(self, lock: str) -> None:
        contained = LOCKS[: LOCKS.index(lock) + 1]
        write_private(self._installed, json.dumps({name: self._hash(name) for name in contained}))

    def _hash(self, lock: str) -> str:
        return hashlib.sha256((self.root / lock).read_bytes()).hexdigest()

    def _make(self, stop: StopSignals) -> None:
        for left in self.folder.iterdir():  # of an environment whose Python is gone
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        if uv := shutil.which("uv"):
            command = [uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(self.folder)]
        else:
            require_ensurepip()
            command = [sys.executable, "-m", "venv", str(self.folder)]
        self._run(command, stop)

    def _install(self, lock: str, stop: StopSignals) -> None:
        wheels_by_hash = ["install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", lock]
        if uv := shutil.which("uv"):
            with suppress(Failure):  # a machine may have told pip alone where its packages are
                self._run([uv, "pip", *wheels_by_hash, "--python", str(self.python)], stop)
                return
        if not (self.folder / "bin" / "pip").exists():
            require_ensurepip()
            self._run([str(self.python), "-m", "ensurepip"], stop)
        quiet = ["--disable-pip-version-check", "--no-input"]
        self._run([str(self.python), "-m", "pip", *wheels_by_hash, *quiet], stop)

    def _run(self, command: list[str], stop: StopSignals) -> None:
        run_quietly(command, dict(os.environ), self.folder / "setup.log", stop, self.root)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against another start in the same project."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def require_ensurepip() -> None:
    """Make sure that ``venv`` can build an environment with pip in it.

    Debian keeps that part in a package of its own: root gets it installed, others are told the line.
    """
    if _has_ensurepip():
        return
    minor = sys.version_info.minor
    package = "python3-venv" if sys.executable == "/usr/bin/python3" else f"python3.{minor}-venv"
    if os.getuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["install", "-y", package]):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "-q", *words], env=environment, capture_output=True, check=False)
        if _has_ensurepip():
            return
    advice = _advice(package)
    raise Failure(f"Python cannot make environments here. Run this, then start again:\n\n    {advice}\n")


def _has_ensurepip() -> bool:
    importlib.invalidate_caches()
    return importlib.util.find_spec("ensurepip") is not None


def _advice(package: str) -> str:
    if shutil.which("apt-get"):
        return f"sudo apt-get install -y {package}"
    return "brew install python@3.12" if sys.platform == "darwin" else f"install the package {package}"
