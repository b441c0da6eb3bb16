"""An append-only file of JSON lines that outlives the process, a kill -9 included.

A line handed to the kernel survives the death of the process; no fsync is made, since losing power is not
what the sandbox is there to survive.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_BUFFER_SECONDS = 0.02
_BUFFER_LINES = 2_000


class JournalInUse(Exception):
    """Two sandboxes may not share their books."""


class Journal:
    """Appends at once; with ``buffered``, lines that may be gathered are written within 20 ms."""

    def __init__(self, path: Path, *, buffered: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._buffered = buffered
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._claim()

    def _claim(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise JournalInUse(f"Another sandbox keeps its books in {self._path.parent}.") from None

    def replay(self) -> Iterator[bytes]:
        """Every whole line so far. A torn last line, left by a kill, is cut off."""
        whole = 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                yield line
        os.truncate(self._file, whole)

    def append(self, line: bytes, *, gather: bool = False) -> None:
        """Write one JSON text, which must not contain a line break, after all lines before it."""
        if not (self._buffered and gather):
            self.flush()
            _write_all(self._file, line + b"\n")
            return
        self._waiting.append(line)
        if len(self._waiting) >= _BUFFER_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BUFFER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            _write_all(self._file, b"\n".join(self._waiting) + b"\n")
            self._waiting.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        os.truncate(self._file, 0)

    def close(self) -> None:
        """Write what is waiting and let the file go."""
        self.flush()
        os.close(self._file)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
