"""The environment of a local ``./run``: secrets from ``.env``, addresses of its servers from ``run.json``.

Standard library only: the launcher reads the same files before anything is installed.
"""

import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAST_FOLDER = Path(".venv") / "data-folder"  # in which ./run notes the folder that it was last started on


def load_local_environment() -> None:
    """Fill in what the environment does not say; what it says wins, then ``.env``, then a running ``./run``.

    Production has neither file and is left as it is. ``ENV_FILE`` names another file; empty, none is read.
    """
    for name, value in read_env_file(env_file()).items():
        os.environ.setdefault(name, value)
    if not os.environ.get("DATA_DIR") and not os.environ.get("DATABASE_URL") and (elsewhere := running_elsewhere()):
        os.environ["DATA_DIR"] = str(elsewhere)
    data_dir = data_folder(os.environ)
    if "DATA_DIR" in os.environ:
        os.environ["DATA_DIR"] = str(data_dir)
    for name, value in running_environment(data_dir).items():
        os.environ.setdefault(name, value)


def env_file() -> Path | None:
    """The file with this machine's secrets; None when reading one is switched off."""
    chosen = os.environ.get("ENV_FILE", ".env")
    return ROOT / chosen if chosen else None


def read_env_file(path: Path | None) -> dict[str, str]:
    """``NAME=value`` lines; comments, ``export`` and one pair of quotes around a value are allowed."""
    if path is None or not path.exists():
        return {}
    values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.startswith("#"):
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


def data_folder(environment: "os._Environ[str] | dict[str, str]") -> Path:
    """Where everything that is not code lives; a relative ``DATA_DIR`` starts at the project folder."""
    return ROOT / (environment.get("DATA_DIR") or "var")


def running_elsewhere() -> Path | None:
    """The data folder of a ``./run`` of this project that was told another one than ``var``; None without such."""
    try:
        folder = Path((ROOT / LAST_FOLDER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    is_usual = (ROOT / "var" / "run.json").exists() or not (folder / "run.json").exists()
    return None if is_usual else folder


def running_environment(data_dir: Path) -> dict[str, str]:
    """What ``./run`` noted for other commands on the same data: server addresses and its port."""
    note = data_dir / "run.json"
    try:
        return json.loads(note.read_text(encoding="utf-8"))["environment"]
    except FileNotFoundError:
        return {}
