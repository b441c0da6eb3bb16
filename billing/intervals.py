"""Calendar steps of products, counted from an anchor so that a short month leaves no trace."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from core.periods import boundary

_UTC = ZoneInfo("UTC")
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def step(anchor: datetime, interval: str, count: int, times: int) -> datetime:
    """``times`` steps of ``count`` intervals after ``anchor`` (aware), in UTC."""
    if interval in _DAYS:
        return (anchor + timedelta(days=_DAYS[interval] * count * times)).astimezone(UTC)
    return boundary(anchor, _MONTHS[interval] * count * times, _UTC)
