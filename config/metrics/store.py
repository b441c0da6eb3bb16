"""Where the web processes of one machine keep their counts, so that any of them can answer for all.

Imported before prometheus_client, which reads the folder's name once. Counts of processes that are gone are dropped
when the next one starts; Prometheus takes that for the restart that it is.
"""

import os
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare_store(data_dir: Path) -> str | None:
    """The folder, made and tidied; None when there is no place for one and each process counts for itself."""
    folder = Path(os.environ.get(_VARIABLE) or data_dir / "metrics")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _drop_the_dead(folder)
    except OSError:
        os.environ.pop(_VARIABLE, None)
        return None
    os.environ[_VARIABLE] = str(folder)
    return str(folder)


def _drop_the_dead(folder: Path) -> None:
    for file in folder.glob("*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _lives(int(pid)):
            file.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
