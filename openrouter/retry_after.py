"""How long the provider says to wait before asking again."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_LONGEST = 3600.0


def seconds_to_wait(value: Any) -> float | None:
    """Seconds, an hour at most, from a number or from text: a number or, as HTTP allows too, a date. Else None."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = _until(value) if isinstance(value, str) else math.nan
    return min(seconds, _LONGEST) if seconds >= 0 else None


def _until(date: str) -> float:
    try:
        return max((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):  # no date, or one without its zone
        return math.nan
