"""What is reported of a request. Never its query, headers or body."""

from time import monotonic
from typing import Any

from farebox.strategies.usage import Meter


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
