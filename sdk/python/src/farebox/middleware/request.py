"""What is reported of a request. Never its query, headers or body."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from farebox.strategies.usage import Meter

log = logging.getLogger("farebox")


def customer_of(ask: Callable[..., str | None], *about: Any) -> str | None:
    """Whose a request is. A question that fails is told to the log, and not to who waits for the answer."""
    try:
        return ask(*about)
    except Exception:
        log.exception("farebox: whose a request is could not be told; it is not counted")
        return None


def report(meter: Meter, *, customer: str | None, method: str, route: str, status: int, began: float) -> str:
    """Count one answered request; ``route`` is the pattern, not the path, so that ids stay out of it."""
    facts: dict[str, Any] = {
        "strategy": "Request",
        "method": method,
        "route": route,
        "status": status,
        "deltaTime": round(monotonic() - began, 6),
    }
    if customer is not None:
        meter = Meter(meter.recorder, meter.name, customer, metadata=meter.metadata)
    return meter.count(meter.name, facts)
