"""Instants as text: one form wherever they leave."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_datetime

# Days that may be asked about: some more or less, in any zone, are on the calendar too.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)


def wire_time(at: datetime) -> str:
    """RFC 3339: ``2026-03-02T12:00:00Z`` in UTC, ``2026-03-02T13:00:00+01:00`` where a local time is meant."""
    text = at.isoformat()
    return f"{text.removesuffix('+00:00')}Z" if at.utcoffset() == timedelta(0) else text


def utc_text(at: datetime) -> str:
    """The same instant in UTC, always with ``Z``."""
    return wire_time(at.astimezone(UTC))


def day_of(at: datetime, zone: str) -> str:
    """``5 December 2026``: the day of ``zone`` in which the instant lies."""
    return f"{at.astimezone(ZoneInfo(zone)):%-d %B %Y}"


def instant_of(text: str) -> datetime:
    """The instant that ``text`` names with its offset, in UTC. Raises ValueError, also beyond the calendar."""
    at = parse_datetime(text)
    if at is None or at.tzinfo is None:
        raise ValueError(text)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None
