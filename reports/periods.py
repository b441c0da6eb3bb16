"""Weeks and months of a zone, and when their reports are due."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reports.models import Cadence

# Late events of the night are in, and the letter is there when people begin to work.
DUE_AT = time(7)
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both included."""

    first: date
    last: date

    @property
    def after(self) -> date:
        """The first day of the next one."""
        return self.last + timedelta(days=1)


def period_of(day: date, cadence: str) -> Period:
    """The week (from Monday) or month that ``day`` is in."""
    if cadence == Cadence.WEEKLY:
        first = day - timedelta(days=day.weekday())
        return Period(first, first + timedelta(days=_WEEK - 1))
    return Period(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))


def due_at(period: Period, zone: ZoneInfo) -> datetime:
    """When the report of a period is written, in UTC: seven o'clock of the zone on the day after it."""
    return datetime.combine(period.after, DUE_AT, zone).astimezone(UTC)


def today_in(zone: ZoneInfo, at: datetime) -> date:
    """The day that it is there."""
    return at.astimezone(zone).date()
