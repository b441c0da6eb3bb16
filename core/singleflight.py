"""One question at a time: of all who ask the same at once, the first asks, and all have the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Questions under way, by key and event loop. Nothing is kept once it is answered: what is to be remembered, the
    work itself remembers."""

    def __init__(self) -> None:
        self._running: dict[tuple[int, K], asyncio.Future[V]] = {}

    async def ask(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The answer of ``work``, or of the same question if it is under way. Raises what that raises.

        Whoever stops waiting ends it for nobody.
        """
        return await asyncio.shield(self.start(key, work))

    def start(self, key: K, work: Callable[[], Awaitable[V]]) -> "asyncio.Future[V]":
        """The same without waiting; what it raises, nobody has to look at."""
        slot = (id(asyncio.get_running_loop()), key)
        running = self._running.get(slot)
        if running is None:
            running = self._running[slot] = asyncio.ensure_future(work())
            running.add_done_callback(partial(self._done, slot))
        return running

    def forget(self) -> None:
        """Let nobody join what is under way: its answer may be of before some change."""
        self._running.clear()

    def _done(self, slot: tuple[int, K], answered: "asyncio.Future[V]") -> None:
        if self._running.get(slot) is answered:
            del self._running[slot]
        if not answered.cancelled():
            answered.exception()
