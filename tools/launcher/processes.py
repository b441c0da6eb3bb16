"""Telling processes apart, and ending those that are not our children."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_GONE_WITHIN = 5  # seconds, after the hard signal


def birth_mark(pid: int) -> str | None:
    """When ``pid`` began, as the system words it: tells it from a later process of that number.

    None when there is no such process, or only a zombie that nobody has collected.
    """
    if sys.platform == "linux":
        try:
            fields = _stat_fields(Path(f"/proc/{pid}"))
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    return _ask_ps(pid, "stat=,lstart=", lambda answer: None if answer.startswith("Z") else answer.split(None, 1)[1])


def _stat_fields(folder: Path) -> list[str]:
    """State, parent, group ... of a process: what follows the command, which may itself hold anything."""
    return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def command_line(pid: int) -> str:
    """The words ``pid`` was started with; empty when it is gone."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            return ""
    return _ask_ps(pid, "command=", str) or ""


def _ask_ps(pid: int, columns: str, read: Callable[[str], str | None]) -> str | None:
    answer = subprocess.run(["ps", "-o", columns, "-p", str(pid)], capture_output=True, text=True, check=False)
    return read(answer.stdout.strip()) if answer.stdout.strip() else None


def signal_group(leader: int, number: int) -> bool:
    """Signal ``leader`` and what it started; False when none of them is left."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_stranger(pid: int, first_signal: int, grace: float) -> None:
    """End a process that is not our child, gently for ``grace`` seconds, then hard."""
    mark = birth_mark(pid)
    if mark is None:
        return
    for number, patience in ((first_signal, grace), (signal.SIGKILL, _GONE_WITHIN)):
        if birth_mark(pid) != mark:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + patience
        while birth_mark(pid) == mark and time.monotonic() < until:
            time.sleep(0.05)


def orphans_of(leader: int, setting: str) -> list[int]:
    """Live members of the group of a ``leader`` that is gone, with ``setting`` (NAME=value) in theirs.

    That proves them ours: the number of the group may have gone to strangers. Linux only, else none.
    """
    if sys.platform != "linux" or birth_mark(leader) is not None:
        return []
    ours = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            settings = (folder / "environ").read_bytes().split(b"\0")
            if int(_stat_fields(folder)[2]) == leader and setting.encode() in settings:
                ours.append(int(folder.name))
    return ours


def end_with_parent(number: int) -> Callable[[], None] | None:
    """For a child's first moment: have Linux send it ``number`` when the launcher is killed and cannot.

    Elsewhere None; there the next start finds and ends what was left.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
