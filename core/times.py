"""Instants as text: one form wherever they leave."""

from datetime import UTC, datetime, timedelta


def wire_time(at: datetime) -> str:
    """RFC 3339: ``2026-03-02T12:00:00Z`` in UTC, ``2026-03-02T13:00:00+01:00`` where a local time is meant."""
    text = at.isoformat()
    return f"{text.removesuffix('+00:00')}Z" if at.utcoffset() == timedelta(0) else text


def utc_text(at: datetime) -> str:
    """The same instant in UTC, always with ``Z``."""
    return wire_time(at.astimezone(UTC))
