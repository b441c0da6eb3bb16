"""Monthly periods counted from an anchor: [start, end) in UTC, on the anchor's wall time in a zone.

The k-th boundary is computed from the anchor itself, never from the boundary before it, so the 31st does not drift:
31 January → 28 February → 31 March. A wall time that a clock change skips moves forward by what was skipped; one that
comes twice is the first of the two.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

_SOME_FIRST = date(2000, 1, 1)  # any first of a month serves as the anchor of calendar months


def boundary(anchor: datetime, index: int, zone: ZoneInfo) -> datetime:
    """The start of period ``index`` in UTC; ``index`` 0 starts at ``anchor`` (aware), and may be negative.

    Raises OverflowError beyond the years that a date can hold.
    """
    _check_aware(anchor)
    if index == 0:
        return anchor.astimezone(UTC)
    local = anchor.astimezone(zone)
    years, month = divmod(local.year * 12 + local.month - 1 + index, 12)
    if not 1 <= years <= 9999:
        raise OverflowError("No date is that far away.")
    day = min(local.day, monthrange(years, month + 1)[1])
    return _in_utc(date(years, month + 1, day), local.time(), zone)


def period_bounds(anchor: datetime, index: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """[start, end) of period ``index`` (0-based) in UTC."""
    return boundary(anchor, index, zone), boundary(anchor, index + 1, zone)


def period_index(anchor: datetime, at: datetime, zone: ZoneInfo) -> int:
    """The period that ``at`` (aware) falls in; negative before the anchor."""
    _check_aware(at)
    local_anchor, local_at = anchor.astimezone(zone), at.astimezone(zone)
    index = (local_at.year - local_anchor.year) * 12 + local_at.month - local_anchor.month
    # Day, wall time and clock changes move the boundary within the month, at most across one of its ends.
    while boundary(anchor, index, zone) > at:
        index -= 1
    while boundary(anchor, index + 1, zone) <= at:
        index += 1
    return index


def calendar_month(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """[start, end) in UTC of the calendar month of ``zone`` that ``at`` falls in."""
    anchor = _in_utc(_SOME_FIRST, time(), zone)
    return period_bounds(anchor, period_index(anchor, at, zone), zone)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """When ``day`` begins in ``zone``, in UTC."""
    return _in_utc(day, time(), zone)


def _in_utc(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """``wall`` on ``day``: with fold 0 a skipped time keeps the offset from before the change and so moves forward."""
    return datetime.combine(day, wall.replace(tzinfo=None, fold=0), tzinfo=zone).astimezone(UTC)


def _check_aware(instant: datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError("An instant needs a time zone.")
