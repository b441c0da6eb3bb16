"""A small in-process cache whose entries live for a moment: hot reads without stale answers."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """At most ``size`` values, each for ``seconds``. Full, the oldest entry makes room.

    Safe to share between threads: every step is one dictionary operation. None is a value like any other.
    """

    def __init__(self, *, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V:
        """The live value of ``key``. Raises KeyError when there is none."""
        dies_at, value = self._entries[key]
        if self._clock() >= dies_at:
            raise KeyError(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep ``value`` from now on."""
        self._entries.pop(key, None)
        while len(self._entries) >= self._size:
            self._drop_oldest()
        self._entries[key] = (self._clock() + self._seconds, value)

    def drop(self, key: K) -> None:
        """Forget ``key``."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _drop_oldest(self) -> None:
        try:
            self._entries.pop(next(iter(self._entries)), None)
        except (StopIteration, RuntimeError):
            # Another thread changed the dictionary between the two steps; the caller looks again.
            return
