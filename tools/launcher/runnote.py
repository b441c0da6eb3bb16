"""``run.json``: what runs on a data folder, for other commands and for the next start after a hard kill."""

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.launcher.console import Failure
from tools.launcher.processes import birth_mark, end_stranger, orphans_of
from tools.launcher.service import Service


def write_private(path: Path, text: str) -> None:
    """Write ``path`` whole or not at all, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def make_folder(folder: Path) -> None:
    """Have a data folder that can be written to. Raises Failure."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise Failure(f"The data folder {folder} cannot be written to ({reason}). Set DATA_DIR to another.") from None


class AlreadyRunning(Failure):
    """Another launcher holds the data folder."""


class RunNote:
    """The note of one data folder, kept while its lock is held. ``prefix`` keeps the tests' notes apart."""

    def __init__(self, data_dir: Path, prefix: str = "") -> None:
        self.data_dir = data_dir
        self.path = data_dir / f"{prefix}run.json"
        self.environment: dict[str, str] = {}
        self._services: list[dict] = []

    def read(self) -> dict:
        """What the last run wrote; empty when there is none or it cannot be understood."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def write_services(self, services: Sequence[Service]) -> None:
        """Note who runs now, in starting order."""
        self._services = [
            {
                "name": s.name,
                "pid": s.process.pid,
                "mark": s.mark,
                "stop_signal": int(s.stop_signal),
                "grace": s.grace,
            }
            for s in services
            if s.process is not None
        ]
        self._write()

    def announce(self, environment: dict[str, str]) -> None:
        """Add what other commands on this data need to know."""
        self.environment.update(environment)
        self._write()

    def _write(self) -> None:
        supervisor = {"pid": os.getpid(), "mark": birth_mark(os.getpid())}
        note = {"supervisor": supervisor, "services": self._services, "environment": self.environment}
        write_private(self.path, json.dumps(note, indent=2) + "\n")

    def erase(self) -> None:
        """Nothing runs any more."""
        self.path.unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """End the services of a run that was killed, the last started first; their names.

        A process counts only with the birth mark it had, so a number that went to someone else is left alone.
        """
        ended = []
        for left in reversed(self.read().get("services", [])):
            if found := birth_mark(left["pid"]) == left["mark"]:
                end_stranger(left["pid"], left["stop_signal"], left["grace"])
            orphans = orphans_of(left["pid"], f"DATA_DIR={self.data_dir}")  # its own, also if it has ended just now
            for orphan in orphans:
                end_stranger(orphan, signal.SIGKILL, grace=1)
            if found or orphans:
                ended.append(left["name"])
        self.erase()
        return ended

    def living_environment(self) -> dict[str, str] | None:
        """The settings of a run that is up at this moment; None when there is none."""
        note = self.read()
        supervisor = note.get("supervisor", {})
        alive = bool(supervisor) and birth_mark(supervisor["pid"]) == supervisor["mark"]
        return note["environment"] if alive and "DATABASE_URL" in note["environment"] else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the data folder, at most until this process is gone. Raises AlreadyRunning."""
        make_folder(self.data_dir)
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = self.read().get("supervisor", {}).get("pid", "unknown")
                raise AlreadyRunning(
                    f"Farebox already runs on {self.data_dir} (process {pid}). "
                    "Stop it first, or set DATA_DIR and PORT to others."
                ) from None
            yield
