"""The jobs of the beat table as operators see them, and asking for a run out of turn."""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from celery.schedules import crontab, maybe_schedule
from django.db.models import Q

from accounts.principal import Actor
from core.errors import DomainError, NotFound
from outbox.models import Outcome, TaskRun, TaskState
from outbox.services import publish
from outbox.taskruns import ASKED_BY

# A run that is late by less than this is only waiting for a free worker.
_LEAST_PATIENCE = timedelta(minutes=1)
_PATIENCE_WITH_CLOCKS = timedelta(minutes=15)
_BETWEEN_REQUESTS = timedelta(seconds=10)
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class JobJustAskedFor(DomainError):
    """Somebody asked for a run of this job a moment ago."""

    code = "job_just_asked_for"
    status = 409
    title = "A run of this job was asked for a moment ago. Give it some seconds."


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of the beat table, with what its task did last."""

    name: str
    task: str
    schedule: str  # in words
    state: TaskState | None  # None: beat has never announced it
    is_overdue: bool

    @property
    def is_failing(self) -> bool:
        """Whether its last run was not a good one."""
        return self.state is not None and self.state.failing_since is not None

    @property
    def has_run(self) -> bool:
        """Whether any run of it has ended."""
        return self.state is not None and self.state.last_finished_at is not None

    @property
    def needs_somebody(self) -> bool:
        """Whether an operator should look."""
        return self.is_failing or self.is_overdue


def jobs_at(at: datetime, table: Mapping[str, Mapping[str, Any]] | None = None) -> list[Job]:
    """Every entry of the beat table, in its order; one query."""
    table = beat_table() if table is None else table
    states = TaskState.objects.in_bulk([entry["task"] for entry in table.values()])
    return [_job(name, entry, states.get(entry["task"]), at) for name, entry in table.items()]


def other_tasks(jobs: Iterable[Job]) -> list[TaskState]:
    """Tasks that other code sends, which no schedule expects; the latest first."""
    scheduled = [job.task for job in jobs]
    return list(TaskState.objects.exclude(name__in=scheduled).order_by("-last_finished_at")[:50])


def beat_table() -> Mapping[str, Mapping[str, Any]]:
    """What beat sends, by the name of the entry."""
    table: Mapping[str, Mapping[str, Any]] = current_app.conf.beat_schedule
    return table


def troubled_jobs(at: datetime) -> int:
    """How many jobs fail or are overdue."""
    return sum(job.needs_somebody for job in jobs_at(at))


def request_run(*, name: str, actor: Actor, at: datetime) -> None:
    """Send the task of a beat entry now. Every task is safe to run twice, or beside itself.

    Raises NotFound, JobJustAskedFor; and what the broker raises when it is away.
    """
    entry = beat_table().get(name)
    if entry is None:
        raise NotFound("There is no such job.")
    TaskState.objects.bulk_create([TaskState(name=entry["task"], announced_at=at)], ignore_conflicts=True)
    rested = Q(requested_at__isnull=True) | Q(requested_at__lte=at - _BETWEEN_REQUESTS)
    if not TaskState.objects.filter(rested, pk=entry["task"]).update(requested_at=at):
        raise JobJustAskedFor
    current_app.send_task(
        entry["task"],
        args=entry.get("args") or (),
        kwargs=entry.get("kwargs") or {},
        headers={ASKED_BY: actor.label},
        retry=False,
    )
    publish(type="job.requested", organization_id=None, data={"job": name, "task": entry["task"]}, actor=actor, at=at)


def latest_runs(task: str, limit: int = 50) -> list[TaskRun]:
    """The latest runs of a task that are kept."""
    return list(TaskRun.objects.filter(task=task).order_by("-finished_at")[:limit])


def outcome_words(outcome: str) -> str:
    """An outcome as a badge has it."""
    return {Outcome.OK: "good", Outcome.TROUBLED: "in part", Outcome.FAILED: "failed"}.get(Outcome(outcome), outcome)


def _job(name: str, entry: Mapping[str, Any], state: TaskState | None, at: datetime) -> Job:
    schedule = maybe_schedule(entry["schedule"])
    return Job(name, entry["task"], schedule_words(schedule), state, _is_overdue(schedule, state, at))


def _is_overdue(schedule: Any, state: TaskState | None, at: datetime) -> bool:
    """Whether a run should have begun and a whole turn more has passed. Never announced: nobody knows, so no."""
    if state is None:
        return False
    since = state.last_started_at or state.announced_at
    schedule = copy(schedule)
    schedule.nowfun = lambda: at
    if isinstance(schedule, crontab):
        return schedule.remaining_estimate(since) < -_PATIENCE_WITH_CLOCKS
    return at - since > schedule.run_every + max(schedule.run_every, _LEAST_PATIENCE)


def schedule_words(schedule: Any) -> str:
    """``every 15 minutes``, ``daily at 04:15 UTC``, or the five fields of a crontab."""
    if not isinstance(schedule, crontab):
        return f"every {_span_words(int(schedule.run_every.total_seconds()))}"
    minute, hour, *others = (
        str(getattr(schedule, f"_orig_{part}"))
        for part in ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    )
    if others == ["*", "*", "*"] and minute.isdigit():
        return f"daily at {int(hour):02}:{int(minute):02} UTC" if hour.isdigit() else f"hourly at :{int(minute):02}"
    return f"at {minute} {hour} {' '.join(others)} (UTC)"


def _span_words(seconds: int) -> str:
    for size, unit in _UNITS:
        if seconds % size == 0 and seconds >= size:
            count = seconds // size
            return unit if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"
