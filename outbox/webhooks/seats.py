"""How many runs of the sender there may be at a time, so that slow receivers never keep all workers from other jobs.

Only a courtesy: messages are safe with any number of senders (``claims``), so a cache that is away takes no seat away.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from outbox.webhooks.sending import RUN_SECONDS
from outbox.webhooks.transport import SECONDS

log = structlog.get_logger(__name__)

# A run and its last attempt; then a seat whose holder has died is free again.
_HELD = RUN_SECONDS + SECONDS + 10


@contextmanager
def seat() -> Iterator[bool]:
    """Whether there is a seat for one more run; it is left at the end."""
    try:
        taken = next((key for key in _seats() if cache.add(key, 1, timeout=_HELD)), None)
    except RedisError:
        log.warning("webhooks.seats_unknown", exc_info=True)
        yield True
        return
    try:
        yield taken is not None
    finally:
        if taken is not None:
            _leave(taken)


def _seats() -> list[str]:
    return [f"webhooks:sender:{number}" for number in range(settings.WEBHOOKS_SENDERS)]


def _leave(key: str) -> None:
    try:
        cache.delete(key)
    except RedisError:
        log.warning("webhooks.seat_not_left", exc_info=True)
