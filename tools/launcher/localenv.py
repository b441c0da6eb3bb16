"""The settings of a local start."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from config.local import data_folder, env_file, read_env_file

SECRETS = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")
_HEADING = "# Secrets of this machine, made by ./run. Keep the file: stored keys cannot be read without it.\n"


def ensure_secrets(path: Path) -> None:
    """Have every secret of a local start in ``path`` (mode 600); what is there stays as it is."""
    known = read_env_file(path)
    missing = [name for name in SECRETS if not known.get(name)]
    if not missing:
        return
    text = "".join(f"{name}={secrets.token_urlsafe(48)}\n" for name in missing)
    if path.exists():
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + text)
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(_HEADING + text)
    with suppress(FileExistsError):  # another start was first; its secrets count
        os.link(draft, path)
    draft.unlink()


def local_settings(root: Path) -> dict[str, str]:
    """What the caller set, then ``.env``; secrets are made if missing."""
    file = env_file()
    if file is not None:
        ensure_secrets(file)
    settings = read_env_file(file) | {name: value for name, value in os.environ.items() if value}
    settings["DATA_DIR"] = str(data_folder(settings).resolve())
    return in_environment(root, settings)


def in_environment(root: Path, settings: dict[str, str]) -> dict[str, str]:
    """``settings`` with the programs of ``.venv`` found first."""
    path = f"{root / '.venv' / 'bin'}{os.pathsep}{settings.get('PATH', os.defpath)}"
    return settings | {"PATH": path, "VIRTUAL_ENV": str(root / ".venv"), "PYTHONUNBUFFERED": "1"}
