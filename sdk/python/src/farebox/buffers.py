"""Where events wait until the server has them: in memory, or on disk, where they outlive the process."""

import contextlib
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows: there a folder belongs to one process at a time
    fcntl = None  # type: ignore[assignment]

Document = dict[str, Any]
_OURS = re.compile(r"[0-9a-f]{32}\.events")  # other files of the folder are somebody else's


@dataclass(frozen=True)
class Batch:
    """Events on their way; ``done()`` forgets them, and nothing else does. ``leave()`` gives them up to whoever comes
    after this process."""

    documents: list[Document]
    done: Callable[[], None]
    leave: Callable[[], None] = lambda: None


class Buffer(Protocol):
    """A queue of encoded events. Not thread-safe: the recorder locks."""

    pending: int  # events that are not done

    @property
    def has_full_batch(self) -> bool:
        """Whether as many wait as one request takes."""

    def append(self, line: bytes) -> None:
        """Keep one event."""

    def take(self) -> Batch | None:
        """The oldest batch; None when nothing waits. Taken again, the next one comes."""

    def after_fork(self) -> None:
        """In a child process: what waits is the parent's to send."""

    def close(self) -> None:
        """Leave."""


class MemoryBuffer:
    """Events of this process's life."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._lines: deque[bytes] = deque()
        self.pending = 0

    @property
    def has_full_batch(self) -> bool:
        """Whether as many wait as one request takes."""
        return len(self._lines) >= self._batch_size

    def append(self, line: bytes) -> None:
        """Keep one event."""
        self._lines.append(line)
        self.pending += 1

    def take(self) -> Batch | None:
        """The oldest events."""
        documents = [json.loads(self._lines.popleft()) for _ in range(min(self._batch_size, len(self._lines)))]

        def done() -> None:
            self.pending -= len(documents)

        return Batch(documents, done) if documents else None

    def after_fork(self) -> None:
        """Forget: the parent sends what it was given."""
        self._lines.clear()
        self.pending = 0

    def close(self) -> None:
        """Nothing is left behind."""


class DiskBuffer:
    """Events in files of a folder, one JSON line each; a file is sent whole, and then deleted.

    Files are locked by the process that wrote them, until they are sent. Whoever starts in the folder takes over those
    that nobody has locked: the files of processes that were killed. With ``sync`` an event outlives the machine, too.
    """

    def __init__(self, folder: str | os.PathLike[str], batch_size: int, *, sync: bool = False) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._batch_size = batch_size
        self._sync = sync
        self._open: FileIO | None = None
        self._written = 0
        self._waiting: deque[FileIO] = deque()
        self.pending = 0
        self._take_over()

    @property
    def has_full_batch(self) -> bool:
        """Whether a file waits that is not written into any more."""
        return bool(self._waiting)

    def append(self, line: bytes) -> None:
        """Write one event down. Raises OSError when that cannot be done (a full disk); then nothing of it stays."""
        if self._open is None:
            self._open = self._new_file()
        end = self._open.seek(0, os.SEEK_END)
        try:
            _write(self._open, line + b"\n")
            if self._sync:
                os.fsync(self._open.fileno())
        except OSError:
            self._take_back(end)
            raise
        self._written += 1
        self.pending += 1
        if self._written >= self._batch_size:
            self._finish_file()

    def take(self) -> Batch | None:
        """The oldest file. Raises OSError when it cannot be read."""
        if not self._waiting:
            self._finish_file()
        if not self._waiting:
            return None
        self._waiting.rotate(-1)  # one that cannot be read stays, behind the others
        documents = list(_documents(self._waiting[-1]))
        file = self._waiting.pop()

        def done() -> None:
            self.pending -= len(documents)
            _remove(file)

        return Batch(documents, done, file.close)

    def after_fork(self) -> None:
        """Forget: the parent's files are the parent's, and locked for as long as it lives."""
        for file in (self._open, *self._waiting):
            if file is not None:
                file.close()  # this copy of the handle alone, which would keep the lock beyond the parent's end
        self._open, self._written, self.pending = None, 0, 0
        self._waiting = deque()

    def close(self) -> None:
        """Unlock: what is left waits for the next process in this folder."""
        self._finish_file()
        if self._open is not None:
            _remove(self._open)
            self._open = None
        for file in self._waiting:
            file.close()
        self._waiting.clear()

    def _finish_file(self) -> None:
        if self._open is not None and self._written:
            self._waiting.append(self._open)
            self._open, self._written = None, 0

    def _take_back(self, end: int) -> None:
        """Cut half a line off, or write no more behind it."""
        try:
            if self._open is not None:
                self._open.truncate(end)
        except OSError:
            self._finish_file()

    def _new_file(self) -> FileIO:
        """A file of our own. The folder is made anew when somebody has cleared it away."""
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = FileIO(self._folder / f"{uuid4().hex}.events", "x+")
            _lock(file, waits=True)
            if not _is_deleted(file):
                return file
            file.close()  # whoever started here between making and locking it found it empty

    def _take_over(self) -> None:
        for path in sorted(self._folder.glob("*.events")):
            if not _OURS.fullmatch(path.name):
                continue
            with contextlib.suppress(FileNotFoundError, PermissionError):
                file = FileIO(path, "r+")  # never one that is made anew: its process may just have sent it
                found = sum(1 for _ in _documents(file)) if _lock(file) and not _is_deleted(file) else None
                if found:
                    self._waiting.append(file)
                    self.pending += found
                elif found == 0:
                    _remove(file)  # of a process that was killed before its first event
                else:
                    file.close()


def _write(file: FileIO, line: bytes) -> None:
    while line:
        line = line[file.write(line) :]


def _remove(file: FileIO) -> None:
    """Delete a file whose events are no longer needed, or at least empty it: nothing of it is to be sent again."""
    try:
        Path(os.fsdecode(file.name)).unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(0)
    file.close()


def _is_deleted(file: FileIO) -> bool:
    return os.fstat(file.fileno()).st_nlink == 0


def _lock(file: FileIO, *, waits: bool = False) -> bool:
    """Whether the file is ours now; the lock ends with the process."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _documents(file: FileIO) -> Iterator[Document]:
    """The events of a file, also of one that was deleted. A last line that a crash cut off was never accepted."""
    file.seek(0)
    for line in file.readall().split(b"\n"):
        with contextlib.suppress(ValueError):
            if isinstance(document := json.loads(line), dict):
                yield document
