"""Real parallel connections: each task runs in a thread with a connection of its own, all released at one instant."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident
from typing import Any

from django.db import connection

PATIENCE = 60  # seconds for what must happen, however slow the machine


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
