"""The published Node clients that tests run: fetched once by the machine's npm, exactly as locked."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tools.launcher.console import say

_SOURCE = Path("tests", "billing_api", "clients", "node")
_FILES = ("package.json", "package-lock.json")
_COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
_PATIENCE_SECONDS = 300


def find_node() -> str | None:
    """Node.js, if this machine has it; NODE names another one, and set to nothing means none."""
    if "NODE" in os.environ:
        return os.environ["NODE"] or None
    return shutil.which("node")


def folder_of(root: Path) -> Path:
    """Where the packages of the present lock file are, or will be."""
    digest = hashlib.sha256((root / _SOURCE / _FILES[1]).read_bytes()).hexdigest()
    return root / "var" / f"node-{digest[:12]}"


def ensure_node_clients(root: Path) -> str:
    """Fetch what is missing; why the tests of those clients cannot run, empty when they can."""
    if find_node() is None or shutil.which(_COMMAND[0]) is None:
        return "no Node.js with npm found"
    folder = folder_of(root)
    if (folder / "node_modules").is_dir():
        return ""
    say("  Node clients         fetching, once")
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        return _fetch(root / _SOURCE, unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch(source: Path, unfinished: Path, folder: Path) -> str:
    unfinished.mkdir(parents=True)
    for name in _FILES:
        shutil.copy(source / name, unfinished)
    try:
        subprocess.run(_COMMAND, cwd=unfinished, check=True, capture_output=True, timeout=_PATIENCE_SECONDS)
    except (subprocess.SubprocessError, OSError):
        return "npm could not fetch them"
    if not folder.exists():  # another run may have been faster
        unfinished.rename(folder)
    return ""
