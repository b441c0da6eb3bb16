"""What an answer's headers say of its price and of the room that is left."""

from decimal import Decimal
from functools import lru_cache

from accounts.ratelimits import Decision, rate_limit_headers
from core.ids import text_of_id
from core.money import to_wire
from metering.records import UsageOutcome
from openrouter.gateway.call import Call
from openrouter.gateway.wire import Header


def call_headers(call: Call, decision: Decision | None) -> list[Header]:
    """Known before the answer: the usage event's id, what is reserved, the limits."""
    headers: list[Header] = [
        (b"x-farebox-event-id", text_of_id(call.ticket.event_id).encode()),
        (b"x-farebox-hold", to_wire(call.reserved).encode()),
    ]
    if call.limit_remaining is not None:
        headers.append((b"x-farebox-budget-remaining", to_wire(call.limit_remaining).encode()))
    if (generation_id := call.reading.generation_id).isascii() and generation_id.isprintable() and generation_id:
        headers.append((b"x-generation-id", generation_id.encode()))
    if decision is not None:
        headers += [(_wire_name(name), value.encode()) for name, value in rate_limit_headers(decision).items()]
    return headers


@lru_cache(maxsize=64)
def _wire_name(name: str) -> bytes:
    return name.lower().encode()


def charge_headers(charge: Decimal | None, outcome: UsageOutcome | None) -> list[Header]:
    """Known once the call is settled; ``pending`` while the provider's record is awaited."""
    if outcome is None or charge is None:
        return [(b"x-farebox-charge", b"pending")]
    headers = [(b"x-farebox-charge", to_wire(charge).encode())]
    if outcome.balance is not None:
        headers.append((b"x-farebox-balance", to_wire(outcome.balance).encode()))
    if outcome.available is not None:
        headers.append((b"x-farebox-available", to_wire(outcome.available).encode()))
    return headers
