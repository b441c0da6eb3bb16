"""Settling a call from what is known of it afterwards, through the same books as the gateway's own settlements."""

from collections.abc import Sequence
from decimal import Decimal

import structlog

from core.ids import uuid7
from core.money import ZERO, quantize, to_wire
from metering.price_book import card_for
from metering.rating import TokenUsage
from openrouter.client import Generation
from openrouter.gateway.access import OWN
from openrouter.gateway.answers import Reading
from openrouter.gateway.bill import NOTHING, Bill, Ending, bill_from_generation, record_of
from openrouter.gateway.books import Settlement, settle_batch
from openrouter.recovery.unresolved import Unresolved

log = structlog.get_logger(__name__)


def settle_by_record(call: Unresolved, made: Generation) -> bool:
    """The provider's record names the cost. True when the call is in the books now."""
    price = card_for(made.model or call.traces.served, call.ticket.at, requested=call.ticket.models[0])
    bill = bill_from_generation(call.ticket, made, price)
    reading = _reading(call)
    reading.model = reading.model or made.model
    reading.provider = reading.provider or made.provider
    reading.finish_reason = made.finish_reason
    return _settle([(call, bill, reading, "generation")])


def settle_for_nothing(calls: Sequence[Unresolved], resolved_by: str) -> bool:
    """Nothing was billed: the hold is given back whole."""
    return _settle([(call, NOTHING, _reading(call), resolved_by) for call in calls])


def settle_by_shares(shares: Sequence[tuple[Unresolved, Decimal]], resolved_by: str) -> bool:
    """Each call's share (USD) of what the provider billed for all of them together; one transaction."""
    return _settle([(call, _estimated(call, cost), _reading(call), resolved_by) for call, cost in shares])


def _estimated(call: Unresolved, cost: Decimal) -> Bill:
    if cost == ZERO:
        return NOTHING
    requested = call.ticket.models[0]
    usage = TokenUsage(characters=call.ticket.characters)
    return Bill(usage, cost, "estimated", card_for(requested, call.ticket.at))


def _reading(call: Unresolved) -> Reading:
    traces = call.traces
    return Reading(generation_id=traces.generation, model=traces.served, provider=traces.provider)


def _settle(items: Sequence[tuple[Unresolved, Bill, Reading, str]]) -> bool:
    """True when all are in the books. Calls that the books refuse wait, and keep no others from being settled."""
    try:
        outcomes = settle_batch([_settlement(*item) for item in items])
    except Exception:
        log.exception("recovery.not_settled", calls=[str(call.hold.id) for call, *_ in items])
        return False
    for (call, bill, _, resolved_by), outcome in zip(items, outcomes, strict=True):
        log.info(
            "recovery.settled",
            call=str(call.hold.id),
            by=resolved_by,
            cost=to_wire(bill.cost),
            charged=to_wire(outcome.charged),
            status=outcome.status,
        )
    return all(outcome.is_known for outcome in outcomes)


def _settlement(call: Unresolved, bill: Bill, reading: Reading, resolved_by: str) -> Settlement:
    attempts = _attempts(call, bill)
    error_type = str(attempts[-1]["error_type"] or "")
    ending = Ending(call.traces.status, len(attempts), error_type, resolved_by=resolved_by)
    return Settlement(record_of(call.ticket, reading, bill, ending), attempts)


def _attempts(call: Unresolved, bill: Bill) -> list[dict[str, object]]:
    """The requests as far as their process wrote them down; the last one bears the cost."""
    ticket = call.ticket
    rows = call.traces.attempts or [
        {
            "id": uuid7(),
            "organization_id": ticket.organization_id,
            "hold_id": ticket.id,
            "number": 1,
            "model": ticket.models[0],
            "key_hash": ticket.key_hash,
            "generation_id": call.traces.generation,
            "status_code": None,
            "error_type": "lost",
            "answered": False,
            "started_at": ticket.at,
            "duration_ms": None,
        }
    ]
    cost = None if ticket.key_kind == OWN or bill.source == "none" else quantize(bill.cost)
    return [*rows[:-1], {**rows[-1], "cost": cost}]
