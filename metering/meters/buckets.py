"""A range cut into hours, days, weeks, months or years of a time zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from metering.errors import TooFineGrained

INTERVALS = ("hour", "day", "week", "month", "year")
MOST_BUCKETS = 10_000
_HOUR = timedelta(hours=1)


def bucket_starts(start: datetime, end: datetime, interval: str, zone: ZoneInfo) -> list[datetime]:
    """When each bucket of [start, end) begins, in UTC; the first may begin before ``start``.

    Days and longer begin at midnight in ``zone`` (weeks on Monday), hours on its full hours; a change of the clocks
    makes a day longer or shorter, never an hour. Raises TooFineGrained, OverflowError.
    """
    if end <= start:
        return []
    if (end - start) / _shortest(interval) > MOST_BUCKETS:
        raise TooFineGrained(f"The range holds more than {MOST_BUCKETS:,} buckets of one {interval}.")
    if interval == "hour":
        return _hours(start, end, zone)
    return _calendar(start, end, _FIRST[interval], _NEXT[interval], zone)


def _shortest(interval: str) -> timedelta:
    return {"hour": _HOUR, "day": timedelta(days=1), "week": timedelta(7), "month": timedelta(28)}.get(
        interval, timedelta(365)
    )


def _hours(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    local = start.astimezone(zone)
    first = start.astimezone(UTC) - timedelta(
        minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )
    return [first + n * _HOUR for n in range(int((end - first) / _HOUR) + 1) if first + n * _HOUR < end]


def _calendar(
    start: datetime, end: datetime, first: Callable[[date], date], following: Callable[[date], date], zone: ZoneInfo
) -> list[datetime]:
    day = first(start.astimezone(zone).date())
    starts = []
    while (moment := _midnight(day, zone)) < end:
        starts.append(moment)
        day = following(day)
    # where the clocks go back over midnight, a day can begin twice
    return [moment for moment, later in zip(starts, [*starts[1:], end], strict=True) if later > start]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of ``day``: the wall's midnight, or what follows it where the clocks skip that."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


_FIRST: dict[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
    "year": lambda day: day.replace(month=1, day=1),
}
_NEXT: dict[str, Callable[[date], date]] = {
    "day": lambda day: day + timedelta(days=1),
    "week": lambda day: day + timedelta(days=7),
    "month": lambda day: (day.replace(day=1) + timedelta(days=32)).replace(day=1),
    "year": lambda day: day.replace(year=day.year + 1),
}
