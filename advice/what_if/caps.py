"""Which calls a budget would have stopped, had it stood there and blocked. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from advice.what_if.change import DAILY, MONTHLY, TOTAL, WEEKLY
from core.money import ZERO
from core.periods import calendar_month

_EVER = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))


def window_of(at: datetime, window: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """[start, end) of the day, the week from Monday, or the month of ``zone`` that ``at`` falls in; of all time."""
    if window == TOTAL:
        return _EVER
    if window == MONTHLY:
        return calendar_month(at, zone)
    day = at.astimezone(zone).date()
    if window == DAILY:
        return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    if window != WEEKLY:
        raise ValueError(window)
    monday = day - timedelta(days=day.weekday())
    return _midnight(monday, zone), _midnight(monday + timedelta(days=7), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


class CapWatch:
    """Events of one organization in the order of their time against ``cap`` USD in each window.

    An event that would go over what is left is stopped and uses nothing; one that costs nothing is never stopped. A
    budget that blocks reserves the most a call may cost, so it may stop some calls that this lets pass.
    """

    def __init__(self, cap: Decimal, window: str, zone: ZoneInfo) -> None:
        self._cap, self._window, self._zone = cap, window, zone
        self._start, self._end, self._used = _EVER[0], _EVER[0], ZERO

    def stops(self, at: datetime, spend: Decimal) -> bool:
        """Whether an event at ``at`` (not before the last one) that costs ``spend`` USD would have been stopped."""
        if at >= self._end:
            self._start, self._end = window_of(at, self._window, self._zone)
            self._used = ZERO
        if spend > 0 and self._used + spend > self._cap:
            return True
        self._used += spend
        return False

    @property
    def window_start(self) -> datetime:
        """Where the window of the last event begins."""
        return self._start
