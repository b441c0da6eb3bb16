"""What the overview shows: spend by day and model from the hourly and daily sums, and the latest events."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet, Sum
from django.db.models.functions import TruncDate

from core.money import ZERO
from metering.models import UsageDay, UsageEvent, UsageHour
from metering.sums import Span, label_of_use, usage_total

LINES = 5  # models with a colour of their own; the rest share one
RECENT = 8
_PACE = timedelta(days=7)
_LONGEST = Decimal(52 * 10)  # weeks; beyond that it is "long"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a range; USD."""

    charge: Decimal = ZERO
    events: int = 0
    errors: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelShare:
    """One model's part of a range; ``label`` is the model's id, or the name or kind of events without one."""

    label: str
    charge: Decimal
    events: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Day:
    """One column of the chart: ``values`` in the order of ``Spend.names``."""

    day: date
    values: list[Decimal]
    total: Decimal


@dataclass(frozen=True, slots=True)
class Spend:
    """Spend of the last days, of the same number of days before, and where it went."""

    now: Totals
    before: Totals
    models: list[ModelShare]  # dearest first
    names: list[str]  # series of the chart: the dearest models, then the rest as an empty name
    days: list[Day]

    @property
    def change(self) -> int | None:
        """Growth of the spend against the days before, in whole per cent; None without a past."""
        if not self.before.charge:
            return None
        return round((self.now.charge / self.before.charge - 1) * 100)


def spend_of(organization_id: UUID, *, at: datetime, days: int, zone: ZoneInfo, compare: bool = True) -> Spend:
    """The last ``days`` days of ``zone`` up to ``at``, today included; zeros where nothing was used.

    Without ``compare`` the days before are left alone, as if nothing had been used in them.
    """
    today = at.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    start = datetime.combine(first, time.min, zone)
    earlier = datetime.combine(first - timedelta(days=days), time.min, zone)
    rows = _by_day(organization_id, start, at, zone)
    before = _total(organization_id, earlier, start, zone) if compare else Totals()
    models = _models(rows)
    names = [share.label for share in models[:LINES]] + ([""] if len(models) > LINES else [])
    calendar = (first + timedelta(days=offset) for offset in range(days))
    return Spend(_totals(rows), before, models, names, _days(rows, names, calendar))


@dataclass(frozen=True, slots=True)
class Pace:
    """What the last seven days cost, USD, and how long the credit lasts if the next ones cost as much."""

    charge: Decimal
    lasts: timedelta | None  # None without spend


def pace_of(organization_id: UUID, *, available: Decimal, at: datetime) -> Pace:
    """The pace of the seven days up to ``at`` and how long ``available`` USD lasts at it."""
    now = at.astimezone(UTC)
    charge = usage_total(organization_id, Span(_whole_hour(now - _PACE), now, ZoneInfo("UTC")), sums=["charge"])[
        "charge"
    ]
    if not charge:
        return Pace(charge, None)
    weeks = min(max(available, ZERO) / charge, _LONGEST)
    return Pace(charge, timedelta(seconds=int(weeks * (_PACE // timedelta(seconds=1)))))


def recent_events(organization_id: UUID) -> list[UsageEvent]:
    """The latest events that count."""
    events = UsageEvent.objects.filter(organization_id=organization_id, voided_at__isnull=True)
    return list(events.order_by("-occurred_at", "-id").defer("derivation", "metadata")[:RECENT])


_SUMS = {
    "charged": Sum("charge"),
    "count": Sum("events"),
    "failed": Sum("errors"),
    "tokens": Sum(F("prompt_tokens") + F("completion_tokens")),
}


def _hours(organization_id: UUID, start: datetime, end: datetime) -> QuerySet[UsageHour]:
    return UsageHour.objects.filter(organization_id=organization_id, hour__gte=_whole_hour(start), hour__lt=end)


def _whole_hour(moment: datetime) -> datetime:
    """Zones that are half an hour off begin their days inside an hour: the whole hour counts."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _by_day(organization_id: UUID, start: datetime, end: datetime, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Sums by day of ``zone`` and label; whole days from the sums by day where they are days of UTC."""
    hours = _hours(organization_id, start, end).annotate(day=TruncDate("hour", tzinfo=zone))
    last = datetime.combine(end.astimezone(UTC).date(), time.min, UTC)
    if start < last and Span(start, last, zone).has_days_of_utc():
        first = start.astimezone(UTC).date()
        days = UsageDay.objects.filter(organization_id=organization_id, day__gte=first, day__lt=last.date())
        rest = _labelled(hours.filter(hour__gte=last)) if last < end else []
        return [*_labelled(days), *rest]
    return _labelled(hours)


def _labelled(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    return list(rows.annotate(label=label_of_use()).values("day", "label").annotate(**_SUMS))


def _total(organization_id: UUID, start: datetime, end: datetime, zone: ZoneInfo) -> Totals:
    span = Span(_whole_hour(start), _whole_hour(end), zone)
    row = usage_total(organization_id, span, sums=["charge", "events", "errors", "prompt_tokens", "completion_tokens"])
    return Totals(row["charge"], row["events"], row["errors"], row["prompt_tokens"] + row["completion_tokens"])


def _totals(rows: Iterable[dict[str, Any]]) -> Totals:
    charge, events, errors, tokens = ZERO, 0, 0, 0
    for row in rows:
        charge += row["charged"] or ZERO
        events += row["count"] or 0
        errors += row["failed"] or 0
        tokens += row["tokens"] or 0
    return Totals(charge, events, errors, tokens)


def _models(rows: Iterable[dict[str, Any]]) -> list[ModelShare]:
    by_label: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    shares = []
    for label, own in by_label.items():
        sums = _totals(own)
        shares.append(ModelShare(label, sums.charge, sums.events, sums.tokens))
    return sorted(shares, key=lambda share: (-share.charge, -share.events, share.label))


def _days(rows: Iterable[dict[str, Any]], names: list[str], calendar: Iterable[date]) -> list[Day]:
    place = {name: index for index, name in enumerate(names)}
    values: dict[date, list[Decimal]] = defaultdict(lambda: [ZERO] * len(names))
    for row in rows:
        values[row["day"]][place.get(row["label"], len(names) - 1)] += row["charged"]
    return [Day(day, values[day], sum(values[day], ZERO)) for day in calendar]
