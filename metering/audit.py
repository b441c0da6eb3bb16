"""The rollups held against the events: what a summary says is what counting says."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet, Sum

from core.money import ZERO
from metering.models import UsageDay, UsageEvent, UsageHour

DAY = timedelta(days=1)
Figures = tuple[int, Decimal, int]  # events, charge, tokens
NOTHING: Figures = (0, ZERO, 0)


@dataclass(frozen=True, slots=True)
class SumDifference:
    """A day of an organization whose sums are not those of its live events. ``table``: hours or days."""

    day: date
    organization_id: UUID
    table: str
    kept: Figures
    counted: Figures


def audit_sums(*, first: date, last: date) -> list[SumDifference]:
    """Every difference in the UTC days ``first`` to ``last``; empty when the sums are right.

    A day is compared in one statement for each table, so events that arrive meanwhile can show as a difference that is
    gone when the day is compared again.
    """
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [found for day in days for found in _differences(day)]


def _differences(day: date) -> Iterator[SumDifference]:
    start = datetime.combine(day, time.min, UTC)
    live = UsageEvent.objects.filter(occurred_at__gte=start, occurred_at__lt=start + DAY, voided_at=None)
    counted = _figures(live, Count("id"))
    for table, rows in (
        ("hours", UsageHour.objects.filter(hour__gte=start, hour__lt=start + DAY)),
        ("days", UsageDay.objects.filter(day=day)),
    ):
        kept = _figures(rows, Sum("events"))
        for organization_id in sorted(counted.keys() | kept.keys()):
            pair = kept.get(organization_id, NOTHING), counted.get(organization_id, NOTHING)
            if pair[0] != pair[1]:
                yield SumDifference(day, organization_id, table, *pair)


def _figures(rows: QuerySet[Any], events: Count | Sum) -> dict[UUID, Figures]:
    sums = rows.order_by().values("organization_id").annotate(
        number=events, cost=Sum("charge"), tokens=Sum(F("prompt_tokens") + F("completion_tokens"))
    )  # fmt: skip
    return {row["organization_id"]: (int(row["number"]), row["cost"], int(row["tokens"])) for row in sums}
