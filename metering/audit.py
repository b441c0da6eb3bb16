"""The rollups held against the events: what a summary says is what counting says."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Func, IntegerField, QuerySet, Sum, Value

from core.money import ZERO
from metering.models import UsageDay, UsageEvent, UsageHour, UsageTagDay, UsageTagTotal

DAY = timedelta(days=1)
Figures = tuple[int, Decimal, int]  # events, charge, tokens
NOTHING: Figures = (0, ZERO, 0)
_ONCE = Value(1)


@dataclass(frozen=True, slots=True)
class SumDifference:
    """A day of an organization whose sums are not those of its live events.

    ``table``: hours, days, or one of the two by tag (tags, tag totals), in which an event counts once under each of its
    tags.
    """

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
    counted = _figures(live, Value(1))
    of_tags = _figures(live.exclude(tags={}).annotate(times=_Members("tags")), Value(1), F("times"))
    for table, rows, right in (
        ("hours", UsageHour.objects.filter(hour__gte=start, hour__lt=start + DAY), counted),
        ("days", UsageDay.objects.filter(day=day), counted),
        ("tags", UsageTagDay.objects.filter(day=day), of_tags),
        ("tag totals", UsageTagTotal.objects.filter(day=day), of_tags),
    ):
        kept = _figures(rows, F("events"))
        for organization_id in sorted(right.keys() | kept.keys()):
            pair = kept.get(organization_id, NOTHING), right.get(organization_id, NOTHING)
            if pair[0] != pair[1]:
                yield SumDifference(day, organization_id, table, *pair)


class _Members(Func):
    """How many members a JSON object has."""

    template = "(SELECT count(*) FROM jsonb_object_keys(%(expressions)s))"
    output_field = IntegerField()


def _figures(rows: QuerySet[Any], events: F | Value, times: F | Value = _ONCE) -> dict[UUID, Figures]:
    sums = rows.order_by().values("organization_id").annotate(
        number=Sum(events * times),
        cost=Sum(F("charge") * times),
        tokens=Sum((F("prompt_tokens") + F("completion_tokens")) * times),
    )  # fmt: skip
    return {row["organization_id"]: (int(row["number"]), row["cost"], int(row["tokens"])) for row in sums}
