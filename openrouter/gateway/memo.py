"""Small reads of the database for the hot path, kept for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

from core.singleflight import SingleFlight

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Values that a thread reads from the database, kept for a moment and read once for all who wait.

    A value older than ``fresh`` seconds is still given out while it is read again, until it is ``stale`` seconds old.
    """

    def __init__(self, read: Callable[[K], V], *, fresh: float = 0.8, stale: float = 1.6, size: int = 20_000) -> None:
        self._read = sync_to_async(_closing(read), thread_sensitive=False)
        self._fresh, self._stale, self._size = fresh, stale, size
        self._values: dict[K, tuple[float, V]] = {}
        self._reading: SingleFlight[K, V] = SingleFlight()

    async def value(self, key: K, read: Callable[[K], Awaitable[V]] | None = None) -> V:
        """The value; no wait while it is fresh. ``read`` replaces the thread that asks the database."""
        found = self._values.get(key)
        if found is not None:
            age = time.monotonic() - found[0]
            if age < self._fresh:
                return found[1]
            reading = self._start(key, read)
            if age < self._stale:
                return found[1]
            return await asyncio.shield(reading)
        return await asyncio.shield(self._start(key, read))

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

    def _start(self, key: K, read: Callable[[K], Awaitable[V]] | None) -> "asyncio.Future[V]":
        return self._reading.start(key, partial(self._fill, key, read or self._read))

    async def _fill(self, key: K, read: Callable[[K], Awaitable[V]]) -> V:
        value = await read(key)
        self._values.pop(key, None)
        while len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = (time.monotonic(), value)
        return value


def _closing(read: Callable[[K], V]) -> Callable[[K], V]:
    def call(key: K) -> V:
        try:
            return read(key)
        finally:
            connection.close()

    return call
