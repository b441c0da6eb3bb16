"""Recorded events, batch by batch in the order of their time: no transaction stays open, and memory stays small."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from metering.models import UsageDay, UsageEvent
from metering.recorded_usage import RecordedEvent

BATCH = 5_000
_COLUMNS = RecordedEvent._fields[:-1]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events: those of ``[start, end)`` (UTC) that have the columns of ``only``; voided ones never count."""

    start: datetime
    end: datetime
    only: Mapping[str, Any]


def batches(organization_id: UUID, asked: Asked, *, size: int = BATCH) -> Iterator[list[RecordedEvent]]:
    """The events of an organization, oldest first; each batch is one query that begins where the last one ended."""
    last: RecordedEvent | None = None
    while True:
        rows = _events(organization_id, asked)
        if last is not None:
            after = Q(occurred_at__gt=last.occurred_at) | Q(occurred_at=last.occurred_at, id__gt=last.id)
            rows = rows.filter(after, occurred_at__gte=last.occurred_at)
        found = [RecordedEvent._make(row) for row in rows.values_list(*_COLUMNS, "derived")[:size]]
        if found:
            yield found
        if len(found) < size:
            return
        last = found[-1]


def _events(organization_id: UUID, asked: Asked) -> QuerySet[UsageEvent]:
    events = UsageEvent.objects.filter(
        organization_id=organization_id,
        occurred_at__gte=asked.start,
        occurred_at__lt=asked.end,
        voided_at__isnull=True,
        **asked.only,
    )
    return events.annotate(derived=Cast("derivation", TextField())).order_by("occurred_at", "id")


def organizations_with_usage(asked: Asked, *, mode: str) -> dict[UUID, int]:
    """Who used something in those days, and about how many events: from the daily sums."""
    rows = UsageDay.objects.filter(
        day__gte=asked.start.date(), day__lte=asked.end.date(), organization__mode=mode, **asked.only
    )
    counted = rows.values("organization_id").annotate(total=Sum("events"))
    return {row["organization_id"]: row["total"] for row in counted.order_by("organization_id")}


def expected_events(organization_id: UUID, asked: Asked) -> int:
    """About how many events of one organization: from the daily sums, whole days."""
    rows = UsageDay.objects.filter(
        organization_id=organization_id, day__gte=asked.start.date(), day__lte=asked.end.date(), **asked.only
    )
    return rows.aggregate(total=Sum("events"))["total"] or 0
