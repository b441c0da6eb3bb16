"""Questions to what may not answer, with an end to the waiting.

A database or a host that is away is found out only by the time-outs of drivers and pools, which are longer than who
watches over a process waits, and a server that stopped in the middle of an answer has none.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread
from typing import Generic, TypeVar

from django.db import connection

T = TypeVar("T")


class Probe(Generic[T]):
    """One question, asked in a thread of its own: never more than one at once, however many want to know."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._running: Future[T] | None = None

    def start(self) -> Future[T]:
        """The answer to come, of the question that is under way if there is one.

        ``result(seconds)`` waits for it: raises TimeoutError, or what asking raised.
        """
        with self._lock:
            if self._running is None or self._running.done():
                answer: Future[T] = Future()
                Thread(target=partial(self._run, answer), daemon=True).start()
                self._running = answer  # only now: without a thread nobody would ever answer
            return self._running

    def _run(self, answer: Future[T]) -> None:
        try:
            found = self._ask()
        except Exception as problem:
            answer.set_exception(problem)
        else:
            answer.set_result(found)


def ask_database() -> None:
    """Whether it answers at all. Raises django.db.Error."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


DATABASE = Probe(ask_database)
