"""When a message is tried, and when it and its endpoint are given up."""

import random
from datetime import timedelta

# Between one attempt and the next: about three days in all.
PAUSES = (
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=20),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=12),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_ATTEMPTS = len(PAUSES) + 1
# What an endpoint has lost within this time is sent when it is switched on again.
CAUGHT_UP = timedelta(days=3)
# An endpoint is disabled when so many messages in a row were given up.
MOST_FAILURES = 10
KEPT = timedelta(days=30)
_SPREAD = 0.1


def pause_after(attempts: int) -> timedelta:
    """How long to wait after the ``attempts``-th attempt; up to a tenth longer, so that a crowd spreads out."""
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    return pause * (1 + _SPREAD * random.random())  # noqa: S311  (no secret)
