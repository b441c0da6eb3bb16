"""From the provider's answer to what the customer pays: one cost, one charge, one record for the books."""

import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.money import ZERO, quantize
from metering.derivation import derive
from metering.errors import UnpriceableCall
from metering.price_book import BookPrice
from metering.rating import Rated, TokenUsage, apply_markup, rate
from metering.records import UsageRecord
from openrouter.client import Generation
from openrouter.gateway.answers import Usage
from openrouter.gateway.call import Call


@dataclass(frozen=True, slots=True)
class Bill:
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


def bill_from_answer(call: Call, price: BookPrice | None) -> Bill | None:
    """The bill that the answer itself states or lets compute; None when only the provider's record can tell.

    ``price`` is the price of the model that served, None when it is not known.
    """
    usage = call.reading.usage
    if usage is None:
        return None
    tokens = usage.tokens()
    if call.uses_own_key:
        return Bill(tokens, ZERO, "provider", price, own_cost=_own_cost(usage))
    rated = _rated(call, tokens, price)
    if usage.cost is not None and usage.cost.is_finite() and usage.cost >= 0:
        is_byok = bool(usage.is_byok)
        own = usage.upstream_cost if is_byok else ZERO
        return Bill(tokens, usage.cost, "provider", price, rated, own_cost=own, on_own_credential=is_byok)
    measured = usage.prompt_tokens is not None and (usage.completion_tokens is not None or price_is_input_only(price))
    if measured and rated is not None and not rated.unpriced and not usage.is_byok:
        return Bill(tokens, rated.cost, "computed", price, rated)
    return None


def bill_from_generation(call: Call, made: Generation, price: BookPrice | None) -> Bill:
    """The bill as the provider's own record states it."""
    tokens = TokenUsage(
        prompt_tokens=max(made.prompt_tokens, 0),
        completion_tokens=max(made.completion_tokens, 0),
        cached_tokens=max(made.cached_tokens, 0),
        reasoning_tokens=max(made.reasoning_tokens, 0),
        characters=call.characters,
    )
    if call.uses_own_key:
        own = made.total_cost + (made.upstream_inference_cost if made.is_byok else ZERO)
        return Bill(tokens, ZERO, "provider", price, own_cost=own)
    own = made.upstream_inference_cost if made.is_byok else ZERO
    return Bill(tokens, made.total_cost, "provider", price, own_cost=own, on_own_credential=made.is_byok)


def price_is_input_only(price: BookPrice | None) -> bool:
    """Whether answers cost nothing, as with embeddings."""
    return price is not None and price.card.prices.get("completion") == 0


def record_of(call: Call, bill: Bill, *, ended_at: datetime) -> UsageRecord:
    """The usage event of a call; recording it settles the hold to its charge."""
    reading, price = call.reading, bill.price
    is_free = (
        bill.source != "none"
        and bill.cost == 0
        and not call.uses_own_key
        and not bill.on_own_credential
        and not reading.cache_hit
        and price is not None
        and price.is_free
    )
    components = () if bill.on_own_credential else call.terms.components
    charge = apply_markup(
        bill.cost,
        bill.usage.tokens,
        bill.usage.requests,
        components if bill.source != "none" else (),
        is_free=is_free,
        is_byok=call.uses_own_key,
    )
    tokens = bill.usage
    return UsageRecord(
        id=call.event_id,
        organization_id=call.organization_id,
        occurred_at=call.at,
        kind=call.route.kind,
        source="gateway",
        cost_source=bill.source,
        member_id=call.principal.member_id,
        api_key_id=call.principal.api_key_id,
        model=_model_of(call, price)[:160],
        provider=reading.provider[:80],
        prompt_tokens=tokens.prompt_tokens,
        completion_tokens=tokens.completion_tokens,
        cached_tokens=tokens.cached_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        quantity=Decimal(call.characters),
        provider_cost=charge.cost,
        markup=charge.markup,
        charge=charge.charge,
        byok_cost=quantize(bill.own_cost),
        is_free=is_free,
        is_byok=call.uses_own_key or bill.on_own_credential,
        price_id=price.id if price is not None else None,
        tier_slug=call.terms.slug,
        generation_id=reading.generation_id[:80],
        hold_id=call.id,
        status=call.status,
        latency_ms=int((time.monotonic() - call.began) * 1000),
        tags=call.tags,
        metadata=_metadata(call, ended_at),
        derivation=derive(charge, source=bill.source, rated=bill.rated, price_id=price.id if price else None),
        actor=call.principal.actor,
    )


def _model_of(call: Call, price: BookPrice | None) -> str:
    """The catalogue's id of the model that served; else what the answer or the request names."""
    return price.model.id if price is not None else call.reading.model or call.candidates[0].name


def _metadata(call: Call, ended_at: datetime) -> dict[str, Any]:
    """What else is worth keeping of a call; never prompts or answers."""
    reading = call.reading
    facts: dict[str, Any] = {"key": call.key.kind, "attempts": len(call.tries)}
    if reading.model and reading.model != call.candidates[0].name:
        facts |= {"requested": call.candidates[0].name, "served": reading.model[:160]}
    if reading.finish_reason:
        facts["finish_reason"] = reading.finish_reason[:40]
    if call.streams:
        facts["streamed"] = True
    if call.answered_at is not None:
        facts["first_byte_ms"] = int((call.answered_at - call.began) * 1000)
    if call.tries and call.tries[-1].error_type:
        facts["error_type"] = call.tries[-1].error_type
    return facts


def _rated(call: Call, tokens: TokenUsage, price: BookPrice | None) -> Rated | None:
    """Our own figure, kept beside the provider's: their difference shows a stale price."""
    if price is None:
        return None
    try:
        return rate(tokens, price.card, call.at, call.reading.service_tier)
    except UnpriceableCall:
        return None


def _own_cost(usage: Usage) -> Decimal:
    paid = usage.cost if usage.cost is not None and usage.cost >= 0 else ZERO
    return paid + (usage.upstream_cost if usage.is_byok else ZERO)
