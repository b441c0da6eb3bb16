"""Whether the collected static files still are what would be collected."""

import hashlib
from pathlib import Path

_MANIFEST = "staticfiles.json"  # the last file that collecting writes
_STAMP = "made-from"


def fingerprint(root: Path) -> str:
    """Changes with any file that is collected: ours by size and time, those of packages by the lock."""
    digest = hashlib.sha256((root / "requirements.lock").read_bytes() + (root / "config/settings.py").read_bytes())
    for path in sorted((root / "static").rglob("*")):
        facts = path.stat()
        digest.update(f"{path.relative_to(root)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def are_current(root: Path, data_dir: Path) -> bool:
    """Whether collecting again would change nothing."""
    stamp = data_dir / "static" / _STAMP
    complete = (data_dir / "static" / _MANIFEST).exists() and stamp.exists()
    return complete and stamp.read_text(encoding="utf-8") == fingerprint(root)


def mark_current(root: Path, data_dir: Path) -> None:
    """Note what the files were collected from."""
    (data_dir / "static" / _STAMP).write_text(fingerprint(root), encoding="utf-8")
