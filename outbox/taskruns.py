"""What the jobs do: every run of a task is noted by Celery's own signals, so that no task has to think of it.

A task's return value is the number of rows it dealt with. One row a task says what it did last; a run gets a row of its
own when it did something, went wrong, or was asked for by an operator.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, connection
from django.db.models import F
from django.utils import timezone

from core.redaction import redact
from outbox.models import Outcome, TaskRun, TaskState

log = structlog.get_logger(__name__)

GOOD_RUNS_KEPT = timedelta(days=14)
BAD_RUNS_KEPT = timedelta(days=90)
ASKED_BY = "farebox_requested_by"  # the header that carries who asked for a run
_LONGEST = 2000
_MOST_PROBLEMS = 10  # said of one run; the log has all
_problems: ContextVar[tuple[str, ...]] = ContextVar("problems", default=())


def note_problem(text: str) -> None:
    """Say, from inside a task, that something went wrong though the task goes on: the run counts as troubled."""
    _problems.set((*_problems.get(), text))


@contextmanager
def apart(what: str, about: UUID) -> Iterator[None]:
    """Let one of many go wrong without keeping the others: it is logged as ``what`` and counts as a problem of the run.

    Put it around a transaction, never inside one.
    """
    try:
        yield
    except Exception as error:
        log.warning(what, about=str(about), exc_info=True)
        if len(_problems.get()) < _MOST_PROBLEMS:
            note_problem(f"{about}: {_words(error)[:200]}")


def record_run(
    *,
    task: str,
    started_at: datetime | None,
    finished_at: datetime,
    rows: int | None = None,
    error: str = "",
    outcome: str = Outcome.OK,
    requested_by: str = "",
) -> None:
    """Note a run that has ended. ``rows`` None: the task does not count."""
    error = redact(error)[:_LONGEST]
    duration = None if started_at is None else max(int((finished_at - started_at) / timedelta(milliseconds=1)), 0)
    values: dict[str, Any] = {
        "last_started_at": started_at or finished_at,
        "last_finished_at": finished_at,
        "last_duration_ms": duration,
        "last_rows": rows,
        "last_outcome": outcome,
    }
    if rows:
        values["last_effect_at"] = finished_at
    if outcome != Outcome.OK:
        values |= {"last_error": error[:300], "last_error_at": finished_at}
    _note_state(task, values, outcome, finished_at)
    if rows or outcome != Outcome.OK or requested_by:
        TaskRun.objects.create(
            task=task,
            started_at=started_at,
            finished_at=finished_at,
            duration_ms=duration,
            rows=rows,
            outcome=outcome,
            error=error,
            requested_by=requested_by[:120],
        )


def _note_state(task: str, values: dict[str, Any], outcome: str, at: datetime) -> None:
    known = TaskState.objects.filter(pk=task)
    if outcome == Outcome.OK:
        values["failing_since"] = None
    if not known.update(**values, runs=F("runs") + 1):
        announce_jobs(tasks=[task], at=at)
        known.update(**values, runs=F("runs") + 1)
    if outcome != Outcome.OK:
        known.filter(failing_since__isnull=True).update(failing_since=at)


def announce_jobs(*, tasks: list[str], at: datetime) -> None:
    """Begin to expect runs of ``tasks``; those that are known keep what is noted."""
    states = [TaskState(name=task, announced_at=at) for task in tasks]
    TaskState.objects.bulk_create(states, ignore_conflicts=True)


def forget_runs(*, at: datetime, limit: int = 5_000) -> int:
    """Delete up to ``limit`` old runs: good ones after GOOD_RUNS_KEPT, bad ones after BAD_RUNS_KEPT; how many."""
    old = TaskRun.objects.filter(finished_at__lt=at - GOOD_RUNS_KEPT)
    doomed = old.filter(outcome=Outcome.OK) | old.filter(finished_at__lt=at - BAD_RUNS_KEPT)
    return TaskRun.objects.filter(pk__in=list(doomed.values_list("pk", flat=True)[:limit])).delete()[0]


# ---------------------------------------------------------------- what Celery tells


def on_start(task: Any = None, **_: object) -> None:
    """A run begins in this process."""
    _problems.set(())
    task.request.farebox_started_at = timezone.now()


def on_end(task: Any = None, retval: Any = None, state: str | None = None, **_: object) -> None:
    """A run has ended in this process, well or not. Runs inside another program's process are part of that."""
    if task.request.is_eager or state not in ("SUCCESS", "FAILURE"):
        return
    problems = _problems.get()
    failed = state == "FAILURE"
    _record_safely(
        task=task.name,
        started_at=getattr(task.request, "farebox_started_at", None),
        finished_at=timezone.now(),
        rows=int(retval) if isinstance(retval, int) else None,
        error=_words(retval) if failed else "; ".join(problems),
        outcome=Outcome.FAILED if failed else Outcome.TROUBLED if problems else Outcome.OK,
        requested_by=getattr(task.request, ASKED_BY, None) or "",
    )


def on_loss(sender: Any = None, exception: Any = None, **_: object) -> None:
    """The process of a run was killed, by the time limit or from outside: only the worker's main process can tell."""
    if exception.__class__.__name__ not in ("TimeLimitExceeded", "WorkerLostError"):
        return
    _record_safely(
        task=sender.name,
        started_at=None,
        finished_at=timezone.now(),
        error=_words(exception),
        outcome=Outcome.FAILED,
    )
    # Processes forked from this one later must not inherit its connections.
    connection.close()
    getattr(connection, "close_pool", connection.close)()


def _words(error: Any) -> str:
    return f"{error.__class__.__name__}: {error}"


def _record_safely(**run: Any) -> None:
    """A run that cannot be noted was still a run."""
    try:
        record_run(**run)
    except DatabaseError:
        log.warning("jobs.not_recorded", task=run["task"], exc_info=True)
