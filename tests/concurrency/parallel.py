"""Real parallel connections: each task runs in a thread with a connection of its own, all released at one instant.

Where a test needs an order, it is forced: by a ``Meeting``, by events, by waiting until somebody waits. Never by time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, get_ident
from time import monotonic, sleep
from typing import Any

from django.db import connection

PATIENCE = 120  # seconds for what must happen, however slow the machine


class Meeting:
    """Where ``parties`` threads wait until all have come, each the first time it comes: nobody goes on before."""

    def __init__(self, parties: int) -> None:
        self._barrier = Barrier(parties)
        self._seen: set[int] = set()

    def wait(self) -> None:
        """Raises BrokenBarrierError when somebody does not come."""
        if get_ident() not in self._seen:
            self._seen.add(get_ident())
            self._barrier.wait(PATIENCE)


def run_parallel(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results, or the exceptions raised, in the order of ``tasks``."""
    start = Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait(PATIENCE)
            return task()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look again and again until it is so. Raises TimeoutError."""
    end = monotonic() + PATIENCE
    while not is_so():
        if monotonic() > end:
            raise TimeoutError(f"still not so after {PATIENCE} seconds")
        sleep(0.005)


def wait_until_waited_for(connections: int = 1) -> None:
    """Until so many other connections wait for a lock that this thread's transaction holds."""

    def is_waited_for() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(DISTINCT pid) FROM pg_locks"
                " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            return cursor.fetchone()[0] >= connections

    wait_until(is_waited_for)


_MEET = """
CREATE SEQUENCE tests_met;
CREATE FUNCTION tests_meet() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    this text := 'tests_met'::regclass::oid;
    patience timestamptz := clock_timestamp() + '%(seconds)s seconds';
BEGIN
    IF current_setting('tests.met', true) IS DISTINCT FROM this THEN
        PERFORM set_config('tests.met', this, false), nextval('tests_met');
    END IF;
    WHILE (SELECT last_value FROM tests_met) < %(parties)s LOOP
        IF clock_timestamp() > patience THEN
            RAISE 'somebody did not come';
        END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN true;
END
$$
"""


@contextmanager
def rewritten_functions(*changes: tuple[str, str, str], parties: int = 0) -> Iterator[None]:
    """SQL functions with some text replaced, put back afterwards; a change is (signature, what is there, what instead).

    ``tests_meet()`` can be called there: it waits until ``parties`` connections (two or more) have called it; true.
    """
    originals: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute(_MEET % {"parties": parties, "seconds": PATIENCE})
        for name, old, new in changes:
            cursor.execute("SELECT pg_get_functiondef(%s::regprocedure)", [name])
            [present] = cursor.fetchone()
            originals.setdefault(name, present)
            assert old in present, f"{name} has no {old!r}"
            cursor.execute(present.replace(old, new))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for original in originals.values():
                cursor.execute(original)
            cursor.execute("DROP FUNCTION tests_meet; DROP SEQUENCE tests_met")
