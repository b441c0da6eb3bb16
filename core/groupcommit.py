"""Group commit: many concurrent callers share one statement and one commit.

Items are gathered while the batch before them commits, so a lone caller waits for nothing and a crowd costs little
more than one. A thread of its own, with a database connection of its own, runs the batches; callers wait on futures of
their event loop.
"""

import asyncio
import contextlib
import copy
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import structlog
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections

from core.errors import DomainError

Item = TypeVar("Item")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0


class BooksUnavailable(DomainError):
    """The books cannot be written now: the database is away, or more is waiting than may wait."""

    code = "books_unavailable"
    status = 503
    title = "The service cannot record calls at the moment. Try again shortly."
    retry_after = 1


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    item: Item
    future: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.monotonic)


class GroupCommit(Generic[Item, Result]):
    """Runs ``function(items) -> results`` over batches of what callers submit; result ``i`` belongs to item ``i``.

    ``function`` must be safe to run again with the same items: a batch is repeated when the connection is lost half
    way, and item by item when it fails, so that one bad item cannot fail the others. An item that finds no database for
    ``patience`` seconds is refused with BooksUnavailable; so is one that would wait behind ``longest_queue`` others.

    ``prepare``, if any, is run on each item before, by a second thread: the work of one batch while the database has
    another. What it raises is left to ``function`` to find.
    """

    def __init__(
        self,
        function: Callable[[list[Item]], list[Result]],
        *,
        name: str,
        prepare: Callable[[Item], object] | None = None,
        largest_batch: int = 256,
        longest_queue: int = 10_000,
        patience: float = 2.0,
    ) -> None:
        self._function = function
        self._prepare = prepare
        self._name = name
        self._largest_batch = largest_batch
        self._longest_queue = longest_queue
        self._patience = patience
        self._queue: queue.SimpleQueue[_Waiting[Item] | None] = queue.SimpleQueue()
        self._entrance = self._queue if prepare is None else queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._closing = False
        self._under_way = 0
        self.batches = 0
        self.items = 0

    @property
    def unfinished(self) -> int:
        """Items that wait, and those of the batch under way."""
        return self._waiting + self._under_way

    @property
    def _waiting(self) -> int:
        unprepared = 0 if self._entrance is self._queue else self._entrance.qsize()
        return unprepared + self._queue.qsize()

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Hand ``item`` in; the future has its result once it is committed. Raises BooksUnavailable.

        To be called on an event loop. Cancelling the future does not take the item back.
        """
        if self._closing or self._waiting >= self._longest_queue:
            raise BooksUnavailable()
        if self._thread is None:
            self._start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._entrance.put(_Waiting(item, future, loop))
        return future

    def close(self, timeout: float = 30.0) -> bool:
        """Take nothing more, finish what was taken, end the thread; False when that took longer than ``timeout``."""
        with self._guard:
            self._closing = True
            thread = self._thread
        if thread is None:
            return True
        self._entrance.put(None)
        thread.join(timeout)
        return not thread.is_alive()

    def _start(self) -> None:
        with self._guard:
            if self._thread is None and not self._closing:
                self._thread = self._begin(self._run, f"group-commit-{self._name}")
                if self._prepare is not None:
                    self._begin(partial(self._prepare_each, self._prepare), f"prepare-{self._name}")

    @staticmethod
    def _begin(work: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _prepare_each(self, prepare: Callable[[Item], object]) -> None:
        """Pass items on as they come, prepared; the end too."""
        use_own_connection()
        try:
            while (waiting := self._entrance.get()) is not None:
                try:
                    prepare(waiting.item)
                except (OperationalError, InterfaceError):
                    drop_broken_connection()
                except Exception:  # the batch meets it again, and answers the item
                    log.debug("group_commit.unprepared", name=self._name, exc_info=True)
                self._queue.put(waiting)
            self._queue.put(None)
        finally:
            connection.close()

    def _run(self) -> None:
        use_own_connection()
        try:
            while batch := self._gather():
                self.batches += 1
                self.items += len(batch)
                self._under_way = len(batch)
                self._commit(batch)
                self._under_way = 0
        finally:
            connection.close()

    def _gather(self) -> list[_Waiting[Item]]:
        """Wait for one item, then take all that are there; nothing more when the end was reached."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < self._largest_batch:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._queue.put(None)  # still the last one: nothing is taken after it
                break
            batch.append(more)
        return batch

    def _commit(self, batch: list[_Waiting[Item]]) -> None:
        """Run the batch until it is done or its items have waited too long."""
        pause = _FIRST_PAUSE
        while batch:
            try:
                results = self._function([waiting.item for waiting in batch])
            except (OperationalError, InterfaceError) as error:
                # The server went away, or chose this transaction to break a deadlock: nothing was committed, or the
                # same items are recognised.
                log.warning("group_commit.retrying", name=self._name, items=len(batch), error=str(error)[:200])
                drop_broken_connection()
                batch = self._refuse_overdue(batch, error)
                time.sleep(pause if batch else 0)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception as error:
                self._commit_singly(batch, error)
                return
            else:
                _deliver(batch, results)
                return

    def _refuse_overdue(self, batch: list[_Waiting[Item]], cause: Exception) -> list[_Waiting[Item]]:
        oldest = time.monotonic() - self._patience
        refusal = BooksUnavailable()
        refusal.__cause__ = cause
        overdue = [waiting for waiting in batch if waiting.since <= oldest]
        _deliver(overdue, [refusal] * len(overdue))
        return [waiting for waiting in batch if waiting.since > oldest]

    def _commit_singly(self, batch: list[_Waiting[Item]], error: Exception) -> None:
        """A batch that failed whole is taken apart, so that only the item at fault fails."""
        if len(batch) == 1:
            log.error("group_commit.item_failed", name=self._name, exc_info=error)
            _deliver(batch, [error])
            return
        for waiting in batch:
            self._commit([waiting])


def use_own_connection() -> None:
    """Give this thread a database connection outside the pool: a long-lived thread would block a place in it.

    It repeats a few statements for ever, so each is planned once; a pooler in between would not pass that wish on.
    """
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    own.settings_dict = copy.deepcopy(own.settings_dict)
    options = own.settings_dict["OPTIONS"]
    options.pop("pool", None)
    if options.get("prepare_threshold") is not None:
        options["options"] = f"{options.get('options', '')} -c plan_cache_mode=force_generic_plan".strip()
    connections[DEFAULT_DB_ALIAS] = own


def drop_broken_connection() -> None:
    """Close this thread's connection unless it still answers; the next statement opens a new one."""
    with contextlib.suppress(Exception):
        if connection.connection is not None and not connection.is_usable():
            connection.close()


def _deliver(batch: list[_Waiting[Any]], results: list[Any]) -> None:
    """Set the results on their futures, with one wake-up for each event loop."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = defaultdict(list)
    for waiting, result in zip(batch, results, strict=True):
        by_loop[waiting.loop].append((waiting.future, result))
    for loop, pairs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everyone who waited
            loop.call_soon_threadsafe(_set_all, pairs)


def _set_all(pairs: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, result in pairs:
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
