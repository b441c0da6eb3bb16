"""Figures noted at once and written together: writing one where other processes read it costs more than noting it.

Nothing is lost between the two: what a flush does not take, the next one does. Whoever shows figures flushes those of
its own process first; those of others are a second old at most.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

FLUSH_SECONDS = 1.0


class Gathering:
    """Takes notes on an event loop, and hands all of them to ``write`` within a second."""

    def __init__(self, write: Callable[[Sequence[Any]], None]) -> None:
        self._write = write
        self._notes: deque[Any] = deque()  # to put one in and to take one out is one step each, for any thread
        self._is_due = False
        _all.append(self)

    def note(self, what: Any) -> None:
        """Have it written soon; to be called on an event loop."""
        self._notes.append(what)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was noted by now, from any thread."""
        self._is_due = False  # before the first is taken out: whoever still saw True has put his in before
        taken = []
        try:
            while True:
                taken.append(self._notes.popleft())
        except IndexError:
            self._write(taken)


_all: list[Gathering] = []


def flush_all() -> None:
    """Write everything that this process has noted."""
    for gathering in _all:
        gathering.flush()
