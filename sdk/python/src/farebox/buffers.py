"""Where events wait until the server has them: in memory, or on disk, where they outlive the process."""

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows: there a folder belongs to one process at a time
    fcntl = None  # type: ignore[assignment]

Document = dict[str, Any]


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
        self._open: IO[bytes] | None = None
        self._written = 0
        self._waiting: deque[IO[bytes]] = deque()
        self.pending = 0
        self._take_over()

    def append(self, line: bytes) -> None:
        """Write one event down."""
        if self._open is None:
            self._open = (self._folder / f"{uuid4().hex}.events").open("ab")
            _lock(self._open, waits=True)
        self._open.write(line + b"\n")
        self._open.flush()
        if self._sync:
            os.fsync(self._open.fileno())
        self._written += 1
        self.pending += 1
        if self._written >= self._batch_size:
            self._finish_file()

    def take(self) -> Batch | None:
        """The oldest file."""
        if not self._waiting:
            self._finish_file()
        if not self._waiting:
            return None
        file = self._waiting.popleft()
        documents = list(_documents(Path(file.name)))

        def done() -> None:
            self.pending -= len(documents)
            Path(file.name).unlink(missing_ok=True)
            file.close()

        return Batch(documents, done, file.close)

    def after_fork(self) -> None:
        """Forget: the parent's files are the parent's. The copies of its handles share its locks, so they stay open."""
        self._of_parent = [self._open, *self._waiting]
        self._open, self._written, self.pending = None, 0, 0
        self._waiting = deque()

    def close(self) -> None:
        """Unlock: what is left waits for the next process in this folder."""
        self._finish_file()
        for file in self._waiting:
            file.close()
        self._waiting.clear()

    def _finish_file(self) -> None:
        if self._open is not None:
            self._waiting.append(self._open)
            self._open, self._written = None, 0

    def _take_over(self) -> None:
        for path in sorted(self._folder.glob("*.events")):
            with contextlib.suppress(FileNotFoundError):
                file = path.open("r+b")  # never "ab", which would make a file anew that its process has just sent
                # One without events is left alone: its process may be about to lock it.
                if _lock(file) and path.exists() and (found := sum(1 for _ in _documents(path))):
                    self._waiting.append(file)
                    self.pending += found
                else:
                    file.close()


def _lock(file: IO[bytes], *, waits: bool = False) -> bool:
    """Whether the file is ours now; the lock ends with the process."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _documents(path: Path) -> Iterator[Document]:
    """The events of a file. A last line that a crash cut off was never accepted."""
    for line in path.read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError):
            if line:
                yield json.loads(line)
