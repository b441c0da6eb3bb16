"""The sandbox's own time, in Unix seconds UTC, which a test may move."""

import time
from datetime import UTC, date, datetime
from functools import lru_cache

DAY = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_THURSDAY = 3  # 1970-01-01 was a Thursday, three days into its week
_DAYS_PER_WEEK = 7


class Clock:
    """Wall clock plus an offset in seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.offset


def day_of(at: float) -> int:
    """Whole UTC days since 1970-01-01."""
    return int(at // DAY)


def date_of(day: int) -> date:
    """The calendar date of a day number."""
    return date.fromordinal(_EPOCH_ORDINAL + day)


@lru_cache(maxsize=64)
def windows_of(day: int) -> tuple[int, int, int]:
    """The day, the Monday-to-Sunday week and the calendar month of ``day``, as numbers that only grow."""
    when = date_of(day)
    return day, (day + _THURSDAY) // _DAYS_PER_WEEK, when.year * 12 + when.month


def window_end(reset: str, at: float) -> float:
    """When the ``daily``, ``weekly`` or ``monthly`` window around ``at`` ends, in Unix seconds."""
    day = day_of(at)
    if reset == "daily":
        return (day + 1) * DAY
    if reset == "weekly":
        return (day - (day + _THURSDAY) % _DAYS_PER_WEEK + _DAYS_PER_WEEK) * DAY
    when = date_of(day)
    first = date(when.year + when.month // 12, when.month % 12 + 1, 1)
    return (first.toordinal() - _EPOCH_ORDINAL) * DAY


def iso(at: float) -> str:
    """RFC 3339 in UTC with milliseconds, as OpenRouter writes times."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_iso(at: float | None) -> str | None:
    """``iso``, or null."""
    return None if at is None else iso(at)
