"""What an event costs by the corrected price, and the record that takes its place. Pure, but for the tier's meters."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from core.jsonio import dumps_text
from core.money import ZERO, quantize
from metering.derivation import derive
from metering.errors import UnpriceableCall
from metering.metered.hits import hits_of
from metering.models import UsageEvent
from metering.prices import PriceCard
from metering.rating import Charge, Rated, apply_markup, rate
from metering.recorded_usage import Derivation, derivation_of, usage_of_lines
from metering.records import UsageRecord, hash_of
from tiers.querysets import metered_prices_at

# Whose cost rests on a price list: a provider's bill and a caller's own figure do not.
RATED = ("computed", "estimated")


def rerated(event: UsageEvent, card: PriceCard) -> tuple[Rated, Charge] | None:
    """The cost and charge by ``card``; None where the list cannot price what was used."""
    derivation = derivation_of(dumps_text(event.derivation))
    if derivation.computed is None:
        return None
    usage = usage_of_lines(derivation.computed.lines, requests=derivation.requests)
    try:
        rated = rate(usage, card, event.occurred_at, derivation.computed.service_tier)
    except UnpriceableCall:
        return None
    return None if rated.unpriced else (rated, _charge(derivation, rated.cost, card))


def _charge(derivation: Derivation, cost: Decimal, card: PriceCard) -> Charge:
    return apply_markup(
        cost,
        derivation.tokens,
        derivation.requests,
        derivation.components,
        is_free=card.is_free(),
        is_byok=derivation.is_byok,
    )


def record_at(event: UsageEvent, card: PriceCard, rerating_id: UUID, reason: str) -> UsageRecord | None:
    """The event charged by ``card``; None where nothing can be computed."""
    found = rerated(event, card)
    if found is None:
        return None
    rated, charge = found
    derivation = derive(charge, source=event.cost_source, rated=rated)
    derivation["rerated"] = {"id": str(rerating_id), "price_id": str(event.price_id), "reason": reason}
    own = quantize(charge.exact_cost) if charge.is_byok else ZERO
    money = {"provider_cost": charge.cost, "markup": charge.markup, "charge": charge.charge, "byok_cost": own}
    return _record(
        event, **money, is_free=charge.is_free, derivation=derivation, content_hash=hash_of([rerating_id, event.id, 1])
    )


def record_as_it_was(event: UsageEvent, rerating_id: UUID) -> UsageRecord:
    """The event as it was first recorded, to take the place of what took its own."""
    return _record(
        event,
        provider_cost=event.provider_cost,
        markup=event.markup,
        charge=event.charge,
        byok_cost=event.byok_cost,
        is_free=event.is_free,
        price_id=event.price_id,
        derivation=event.derivation,
        content_hash=hash_of([rerating_id, event.id, 2]),
    )


_KEPT = (
    *("organization_id", "occurred_at", "kind", "source", "cost_source", "name", "member_id", "api_key_id", "model"),
    *("provider", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("quantity", "is_byok", "tier_slug", "generation_id", "status", "latency_ms", "tags", "metadata"),
    *("customer_id", "external_customer_id", "parent_id"),
)


def _record(event: UsageEvent, **fields: Any) -> UsageRecord:
    """It counts on the meters of the tier under which the event was received."""
    record = UsageRecord(**{name: getattr(event, name) for name in _KEPT}, **fields)
    record.metered = hits_of(record, metered_prices_at(event.organization_id, event.received_at))
    return record
