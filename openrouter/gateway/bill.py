"""From the provider's answer to what the customer pays: one cost, one charge, one record for the books."""

from decimal import Decimal
from typing import Any

import msgspec

from core.money import ZERO, quantize
from metering.derivation import derive
from metering.errors import UnpriceableCall
from metering.metered.hits import hits_of
from metering.price_book import BookPrice
from metering.rating import Rated, TokenUsage, apply_markup, rate
from metering.records import UsageRecord
from openrouter.client import Generation
from openrouter.gateway.access import OWN
from openrouter.gateway.answers import Reading, Usage
from openrouter.gateway.ticket import Ticket


class Bill(msgspec.Struct, frozen=True):
    """What the provider bills for a call, USD, and whose figure that is.

    ``cost`` is what our account pays, ``own_cost`` what the customer pays a provider directly.
    """

    usage: TokenUsage
    cost: Decimal
    source: str  # "provider", "computed", "estimated" or "none"
    price: BookPrice | None = None
    rated: Rated | None = None
    own_cost: Decimal = ZERO
    on_own_credential: bool = False  # our key, the customer's credential at the provider: the cost is a bare fee


NOTHING = Bill(TokenUsage(requests=0), ZERO, "none")


def bill_from_answer(ticket: Ticket, reading: Reading, price: BookPrice | None) -> Bill | None:
    """The bill that the answer itself states or lets compute; None when only the provider's record can tell.

    ``price`` is the price of the model that served, None when it is not known.
    """
    usage = reading.usage
    if usage is None:
        return None
    tokens = usage.tokens()
    if ticket.key_kind == OWN:
        return Bill(tokens, ZERO, "provider", price, own_cost=_own_cost(usage))
    rated = _rated(ticket, reading, tokens, price)
    if usage.billed is not None:
        is_byok = bool(usage.is_byok)
        own = usage.upstream_cost if is_byok else ZERO
        return Bill(tokens, usage.billed, "provider", price, rated, own_cost=own, on_own_credential=is_byok)
    if rated is None or rated.unpriced or usage.is_byok or not _tells_all(reading, usage, price):
        return None
    return Bill(tokens, rated.cost, "computed", price, rated)


def _tells_all(reading: Reading, usage: Usage, price: BookPrice | None) -> bool:
    """Whether the counts are the bill. The provider may not bill tokens of an answer that failed, or that is empty and
    does not say why."""
    if usage.prompt_tokens is None:
        return False
    if price_is_input_only(price):
        return True
    is_insured = reading.finish_reason == "error" or (not usage.completion_tokens and not reading.finish_reason)
    return usage.completion_tokens is not None and not is_insured


def bill_from_generation(ticket: Ticket, made: Generation, price: BookPrice | None) -> Bill:
    """The bill as the provider's own record states it."""
    tokens = TokenUsage(
        prompt_tokens=made.prompt_tokens,
        completion_tokens=made.completion_tokens,
        cached_tokens=made.cached_tokens,
        reasoning_tokens=made.reasoning_tokens,
        characters=ticket.characters,
    )
    own = made.upstream_inference_cost if made.is_byok else ZERO
    if ticket.key_kind == OWN:
        return Bill(tokens, ZERO, "provider", price, own_cost=made.total_cost + own)
    return Bill(tokens, made.total_cost, "provider", price, own_cost=own, on_own_credential=made.is_byok)


def price_is_input_only(price: BookPrice | None) -> bool:
    """Whether answers cost nothing, as with embeddings."""
    return price is not None and price.card.prices.get("completion") == 0


class Ending(msgspec.Struct, frozen=True):
    """How a call ended, beside its bill."""

    status: str  # of the usage event: ok, error, cancelled, partial
    attempts: int
    error_type: str = ""
    latency_ms: int | None = None
    first_byte_ms: int | None = None
    client_left: bool = False
    resolved_by: str = ""  # how the bill was found out afterwards; empty: the answer said it


def record_of(ticket: Ticket, reading: Reading, bill: Bill, ending: Ending) -> UsageRecord:
    """The usage event of a call; recording it settles the hold to its charge."""
    price, own_key = bill.price, ticket.key_kind == OWN
    is_free = (
        bill.source != "none"
        and bill.cost == 0
        and not (own_key or bill.on_own_credential or reading.cache_hit)
        and price is not None
        and price.is_free
    )
    charge = apply_markup(
        bill.cost,
        bill.usage.tokens,
        bill.usage.requests,
        () if bill.on_own_credential or bill.source == "none" else ticket.components,
        is_free=is_free,
        is_byok=own_key,
    )
    tokens, price_id = bill.usage, price.id if price is not None else None
    record = UsageRecord(
        id=ticket.event_id,
        organization_id=ticket.organization_id,
        occurred_at=ticket.at,
        kind=ticket.kind,
        source="gateway",
        cost_source=bill.source,
        member_id=ticket.member_id,
        api_key_id=ticket.api_key_id,
        model=(price.model.id if price is not None else reading.model or ticket.models[0])[:160],
        provider=reading.provider[:80],
        prompt_tokens=tokens.prompt_tokens,
        completion_tokens=tokens.completion_tokens,
        cached_tokens=tokens.cached_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        quantity=Decimal(ticket.characters),
        provider_cost=charge.cost,
        markup=charge.markup,
        charge=charge.charge,
        byok_cost=quantize(bill.own_cost),
        is_free=is_free,
        is_byok=own_key or bill.on_own_credential,
        price_id=price_id,
        tier_slug=ticket.tier,
        generation_id=reading.generation_id[:80],
        hold_id=ticket.id,
        status=ending.status,
        latency_ms=ending.latency_ms,
        tags=ticket.tags,
        metadata=_metadata(ticket, reading, ending),
        derivation=derive(charge, source=bill.source, rated=bill.rated, price_id=price_id),
        actor=ticket.actor,
    )
    if ticket.metered:
        record.metered = hits_of(record, ticket.metered)
    return record


def _metadata(ticket: Ticket, reading: Reading, ending: Ending) -> dict[str, Any]:
    """What else is worth keeping of a call; never prompts or answers."""
    facts: dict[str, Any] = {"key": ticket.key_kind, "attempts": ending.attempts}
    if reading.model and reading.model != ticket.models[0]:
        facts |= {"requested": ticket.models[0], "served": reading.model[:160]}
    if reading.finish_reason:
        facts["finish_reason"] = reading.finish_reason[:40]
    if ticket.asked_output is not None:
        facts["asked_max_tokens"] = ticket.asked_output
    if ticket.fingerprint:
        facts["fingerprint"] = ticket.fingerprint
    if ticket.rule:
        facts["routing_rule"] = ticket.rule
    if ticket.streams:
        facts["streamed"] = True
    if ending.client_left:
        facts["client_left"] = True
    if ending.first_byte_ms is not None:
        facts["first_byte_ms"] = ending.first_byte_ms
    for name in ("error_type", "resolved_by"):
        if value := getattr(ending, name):
            facts[name] = value
    return facts


def _rated(ticket: Ticket, reading: Reading, tokens: TokenUsage, price: BookPrice | None) -> Rated | None:
    """Our own figure, kept beside the provider's: their difference shows a stale price."""
    if price is None:
        return None
    try:
        return rate(tokens, price.card, ticket.at, reading.service_tier)
    except UnpriceableCall:
        return None


def _own_cost(usage: Usage) -> Decimal:
    return (usage.billed or ZERO) + (usage.upstream_cost if usage.is_byok else ZERO)
