"""Sums of usage over a range, read from the rollups: their cost grows with the range, not with history."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import DateTimeField, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, Coalesce, NullIf, TruncDay, TruncHour, TruncMonth

from core.errors import InvalidRequest
from metering.errors import TooManyGroups
from metering.models import UsageDay, UsageHour, UsageTagTotal

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOST_BUCKETS = 1_000
SUMS = (
    "events",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "quantity",
    "provider_cost",
    "markup",
    "charge",
    "byok_cost",
    "latency_ms",
    "latency_count",
)
TAG_SUMS = ("events", "prompt_tokens", "completion_tokens", "provider_cost", "markup", "charge")
Row = dict[str, Any]
By = Sequence[str] | Mapping[str, Any]  # dimensions, or expressions under the names that rows have them by
_TRUNCATE = {"hour": TruncHour, "day": TruncDay, "month": TruncMonth}
GRANULARITIES = tuple(_TRUNCATE)


@dataclass(frozen=True, slots=True)
class Span:
    """``[start, end)``, whole hours of UTC; ``zone`` says where its days and months begin.

    Usage is summed by hours of UTC, so in a zone that is half an hour off, an hour belongs to the day it begins in.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo

    def before(self) -> "Span":
        """The span of the same length that ends where this one starts."""
        return Span(self.start - (self.end - self.start), self.start, self.zone)

    def has_days_of_utc(self) -> bool:
        """Whether it is of whole days of its zone that are days of UTC too."""
        if self.start.astimezone(UTC).time() != time.min or self.end.astimezone(UTC).time() != time.min:
            return False
        moments = (self.start + DAY * number for number in range((self.end - self.start) // DAY + 1))
        return not any(moment.astimezone(self.zone).utcoffset() for moment in moments)

    def whole_days(self) -> tuple[date, date] | None:
        """The UTC days ``[first, after)`` that lie whole within it; None when there is none."""
        first = self.start if self.start.time() == time.min else _midnight(self.start) + DAY
        after = _midnight(self.end)
        return (first.date(), after.date()) if first < after else None


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def usage_sums(
    organization_id: UUID,
    span: Span,
    *,
    by: By = (),
    only: Mapping[str, Any] | None = None,
    most: int | None = None,
    sums: Sequence[str] = SUMS,
) -> list[Row]:
    """``sums`` over ``span`` by the dimensions ``by``, of the usage that ``only`` describes; in no order.

    Whole days come from the daily sums, the hours around them from the hourly ones. Raises TooManyGroups for more than
    ``most`` rows.
    """
    wanted = {"organization_id": organization_id, **(only or {})}
    hours = UsageHour.objects.filter(hour__gte=span.start, hour__lt=span.end, **wanted)
    days = span.whole_days()
    if days is None:
        return _add_up(_grouped(hours, by, sums, most), by, sums)
    first, after = days
    within = Q(hour__gte=datetime.combine(first, time.min, UTC), hour__lt=datetime.combine(after, time.min, UTC))
    whole = _grouped(UsageDay.objects.filter(day__gte=first, day__lt=after, **wanted), by, sums, most)
    if after - first == span.end - span.start:
        return whole
    return _add_up([*whole, *_grouped(hours.exclude(within), by, sums, most)], by, sums)


def usage_total(
    organization_id: UUID, span: Span, *, only: Mapping[str, Any] | None = None, sums: Sequence[str] = SUMS
) -> Row:
    """The sums over the whole span; zeros when nothing was used."""
    rows = usage_sums(organization_id, span, only=only, sums=sums)
    return rows[0] if rows else dict.fromkeys(sums, 0)


def usage_over_time(
    organization_id: UUID, span: Span, granularity: str, *, only: Mapping[str, Any] | None = None
) -> list[Row]:
    """Sums by ``hour``, ``day`` or ``month`` of the span's zone, each with its ``start``; zeros where nothing was used.

    Raises InvalidRequest for more than MOST_BUCKETS of them.
    """
    starts = bucket_starts(span, granularity)
    found = _grouped(_in_buckets(organization_id, span, granularity, only), ["start"], SUMS)
    rows = {row["start"]: row for row in found}
    return [rows.get(start) or {"start": start, **dict.fromkeys(SUMS, 0)} for start in starts]


def usage_matrix(
    organization_id: UUID,
    span: Span,
    granularity: str,
    *,
    by: By,
    only: Mapping[str, Any] | None = None,
    most: int | None = None,
    sums: Sequence[str] = SUMS,
) -> tuple[list[datetime], list[Row]]:
    """Where each bucket of the span begins, and ``sums`` by bucket (``start``) and ``by``; only of what was used.

    Raises InvalidRequest for more than MOST_BUCKETS buckets, TooManyGroups for more than ``most`` rows.
    """
    starts = bucket_starts(span, granularity)
    return starts, _grouped(_in_buckets(organization_id, span, granularity, only), by, sums, most, beside=["start"])


def label_of_use() -> Coalesce:
    """What was used, in a row of sums: its model, else its name, else its kind."""
    return Coalesce(NullIf("model", Value("")), NullIf("name", Value("")), "kind")


def _in_buckets(
    organization_id: UUID, span: Span, granularity: str, only: Mapping[str, Any] | None
) -> QuerySet[UsageDay] | QuerySet[UsageHour]:
    """The rows of the span with the ``start`` of their bucket: of days where days of UTC are asked for, else of hours,
    which are up to 24 times as many."""
    truncate, wanted = _TRUNCATE[granularity], {"organization_id": organization_id, **(only or {})}
    if granularity == "hour" or not span.has_days_of_utc():
        hours = UsageHour.objects.filter(hour__gte=span.start, hour__lt=span.end, **wanted)
        return hours.annotate(start=truncate("hour", tzinfo=span.zone))
    first, after = (moment.astimezone(UTC).date() for moment in (span.start, span.end))
    return in_day_buckets(UsageDay.objects.filter(day__gte=first, day__lt=after, **wanted), granularity, span.zone)


def in_day_buckets(days: QuerySet[Any], granularity: str, zone: ZoneInfo) -> QuerySet[Any]:
    """Sums by day of UTC with the ``start`` of their bucket, in ``zone``, whose days are those of UTC."""
    return days.annotate(start=_TRUNCATE[granularity](Cast("day", DateTimeField()), tzinfo=zone))


def tag_sums(organization_id: UUID, first: date, last: date, *, key: str | None = None) -> list[Row]:
    """Sums by tag over the UTC days ``first`` to ``last``; an event counts under each of its tags."""
    rows = UsageTagTotal.objects.filter(organization_id=organization_id, day__gte=first, day__lte=last)
    if key is not None:
        rows = rows.filter(tag_key=key)
    return _grouped(rows, ["tag_key", "tag_value"], TAG_SUMS)


def _grouped(
    rows: QuerySet[Any], by: By, sums: Iterable[str], most: int | None = None, beside: Sequence[str] = ()
) -> list[Row]:
    totals = {f"sum_{name}": Sum(F(name)) for name in sums}
    names, expressions = (beside, by) if isinstance(by, Mapping) else ([*beside, *by], {})
    # without a dimension the database would answer one row of nulls for no rows at all
    groups = rows.values(*(names or ["organization_id"]), **expressions)
    found = bounded(groups.order_by().annotate(**totals), most)
    return [{key.removeprefix("sum_"): value for key, value in row.items()} for row in found]


def bounded(rows: QuerySet[Any], most: int | None) -> list[Any]:
    """The rows of an answer, which are kept in memory. Raises TooManyGroups for more than ``most``."""
    found = list(rows if most is None else rows[: most + 1])
    if most is not None and len(found) > most:
        raise TooManyGroups(most=most)
    return found


def _add_up(rows: Iterable[Row], by: Iterable[str], sums: Iterable[str]) -> list[Row]:
    """One row for each combination of the dimensions."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in by)
        if key not in found:
            found[key] = row
        else:
            for name in sums:
                found[key][name] += row[name]
    return list(found.values())


def bucket_starts(span: Span, granularity: str) -> list[datetime]:
    """Where each bucket of the span begins, in its zone. Raises InvalidRequest for more than MOST_BUCKETS."""
    starts = []
    moment = _bucket_start(span.start.astimezone(span.zone), granularity)
    while moment < span.end:
        starts.append(moment)
        if len(starts) > MOST_BUCKETS:
            raise InvalidRequest(f"This range has more than {MOST_BUCKETS:,} {granularity}s. Ask for a shorter one.")
        moment = _next_start(moment, granularity)
    return starts


def _bucket_start(moment: datetime, granularity: str) -> datetime:
    if granularity == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    midnight = _midnight(moment).replace(fold=0)
    return midnight if granularity == "day" else midnight.replace(day=1)


def _next_start(moment: datetime, granularity: str) -> datetime:
    if granularity == "hour":  # counted in UTC: a clock that is put back has two hours of the same name
        return (moment.astimezone(UTC) + HOUR).astimezone(moment.tzinfo)
    if granularity == "day":
        return moment + DAY
    return (moment + timedelta(days=32)).replace(day=1)
