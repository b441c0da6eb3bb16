"""Group commit on the event loop itself: what ``core/groupcommit.py`` does with a thread, without one.

Items are gathered while the batch before them commits, and a little longer while the loop is busy with other things
(``core/pacing.py``): a lone caller waits for nothing, a crowd costs little more than one. The batch is a pipeline of
queries, one transaction, on a connection that the loop drives.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import psycopg
import structlog

from core.groupcommit import BooksUnavailable
from core.pacing import Pace
from core.pgloop import LoopConnection
from core.sqlcalls import Query, Row

Item = TypeVar("Item")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
# The server went away, chose this transaction to break a deadlock, or must plan anew: nothing was committed, or the
# same items are recognised.
_PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidSqlStatementName,
)


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item, Result]):
    """How items are written: the queries of a batch, and each item's result from the rows of those that give any."""

    queries: Callable[[Sequence[Item]], list[Query]]
    results: Callable[[Sequence[Item], list[list[Row]]], list[Result]]


class _Waiting(msgspec.Struct, Generic[Item]):
    item: Item
    future: "asyncio.Future[Any]"
    since: float = msgspec.field(default_factory=time.monotonic)


class LoopCommit(Generic[Item, Result]):
    """Commits batches of what callers on one event loop submit; result ``i`` belongs to item ``i``.

    A batch must be safe to run again with the same items: it is repeated when the connection is lost half way, and
    item by item when it fails, so that one bad item cannot fail the others. An item that finds no database for
    ``patience`` seconds is refused with BooksUnavailable; so is one that would wait behind ``longest_queue`` others.
    """

    def __init__(
        self,
        batch: Batch[Item, Result],
        *,
        name: str,
        largest_batch: int = 256,
        longest_queue: int = 10_000,
        patience: float = 2.0,
    ) -> None:
        self._batch = batch
        self._name = name
        self._largest_batch = largest_batch
        self._longest_queue = longest_queue
        self._patience = patience
        self._queue: deque[_Waiting[Item]] = deque()
        self._connection = LoopConnection()
        self._pace = Pace()
        self._is_running = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._recovering: asyncio.Task[None] | None = None
        self.batches = 0
        self.items = 0

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return len(self._queue)

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Hand ``item`` in; the future has its result once it is committed. Raises BooksUnavailable.

        To be called on the event loop. Cancelling the future does not take the item back.
        """
        if self._closing or len(self._queue) >= self._longest_queue:
            raise BooksUnavailable()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(item, future))
        if not self._is_running:
            self._is_running = True
            self._idle.clear()
            loop.call_soon(self._gather)  # with whatever else is submitted in this turn of the loop
        return future

    async def close(self, grace: float = 30.0) -> bool:
        """Take nothing more, finish what was taken, disconnect; False when that took longer than ``grace`` s."""
        self._closing = True
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            if self._recovering is not None:
                self._recovering.cancel()
            self._connection.close()
        return True

    def _gather(self) -> None:
        """Begin the next batch, when it is time."""
        left = self._pace.left()
        if left > 0 and 0 < len(self._queue) < self._largest_batch:
            asyncio.get_running_loop().call_later(left, self._next)
        else:
            self._next()

    def _next(self) -> None:
        """Begin the next batch, if anything waits."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._largest_batch))]
        if not batch:
            self._is_running = False
            self._idle.set()
            return
        self._pace.sent()
        self.batches += 1
        self.items += len(batch)
        if not self._connection.is_open:
            self._recover(batch, None)
            return
        try:
            queries = self._batch.queries([waiting.item for waiting in batch])
            self._connection.send(queries, lambda rows, error: self._ended(batch, rows, error))
        except Exception as error:
            self._recover(batch, error)

    def _ended(self, batch: list[_Waiting[Item]], rows: list[list[Row]], error: Exception | None) -> None:
        if error is None:
            try:
                _deliver(batch, self._batch.results([waiting.item for waiting in batch], rows))
            except Exception as unreadable:
                _deliver(batch, [unreadable] * len(batch))
            self._gather()
        else:
            self._recover(batch, error)

    def _recover(self, batch: list[_Waiting[Item]], error: Exception | None) -> None:
        """Leave the quick way: (re)connect, wait, take the batch apart."""
        self._recovering = asyncio.ensure_future(self._then_next(self._carry_through(batch, error)))

    async def _then_next(self, work: Coroutine[Any, Any, None]) -> None:
        await work
        self._recovering = None
        self._next()

    async def _carry_through(self, batch: list[_Waiting[Item]], error: Exception | None) -> None:
        """Run the batch until it is done or its items have waited too long. ``error``: how its first run failed."""
        pause = _FIRST_PAUSE
        while batch:
            if error is None:
                error = await self._try(batch)
            if error is None:
                return
            if not isinstance(error, _PASSING):
                await self._carry_through_singly(batch, error)
                return
            log.warning("group_commit.retrying", name=self._name, items=len(batch), error=str(error)[:200])
            batch = self._refuse_overdue(batch, error)
            error = None
            await asyncio.sleep(pause if batch else 0)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _try(self, batch: list[_Waiting[Item]]) -> Exception | None:
        items = [waiting.item for waiting in batch]
        try:
            rows = await self._connection.run(self._batch.queries(items))
            _deliver(batch, self._batch.results(items, rows))
        except (Exception, OSError) as error:
            return error
        return None

    def _refuse_overdue(self, batch: list[_Waiting[Item]], cause: Exception) -> list[_Waiting[Item]]:
        oldest = time.monotonic() - self._patience
        refusal = BooksUnavailable()
        refusal.__cause__ = cause
        overdue = [waiting for waiting in batch if waiting.since <= oldest]
        _deliver(overdue, [refusal] * len(overdue))
        return [waiting for waiting in batch if waiting.since > oldest]

    async def _carry_through_singly(self, batch: list[_Waiting[Item]], error: Exception) -> None:
        """A batch that failed whole is taken apart, so that only the item at fault fails."""
        if len(batch) == 1:
            log.error("group_commit.item_failed", name=self._name, exc_info=error)
            _deliver(batch, [error])
            return
        for waiting in batch:
            await self._carry_through([waiting], None)


def _deliver(batch: list[_Waiting[Any]], results: Sequence[Any]) -> None:
    for waiting, result in zip(batch, results, strict=True):
        if waiting.future.done():  # cancelled: nobody waits any more
            continue
        if isinstance(result, BaseException):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
