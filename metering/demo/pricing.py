"""Uses as priced records, at the prices and the tier of their time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.money import ZERO, quantize
from metering.demo.makeups import sized_of
from metering.demo.traffic import Use
from metering.derivation import derive
from metering.estimates.learning import SIZED
from metering.price_book import BookPrice, card_for
from metering.rating import Charge, Rated, apply_markup, rate
from metering.records import UsageRecord
from metering.usage import TokenUsage


@dataclass(slots=True)
class Terms:
    """What an organization is on when something is used, and the ids of its keys."""

    organization_id: UUID
    tier_slug: str
    components: Sequence[Mapping[str, Any]]
    keys: Mapping[str, tuple[UUID, UUID | None, str]] = field(default_factory=dict)  # id, member, label by name


class Pricer:
    """Prices uses in their order; asks the price book once per model and price."""

    def __init__(self) -> None:
        self._cards: dict[str, BookPrice | None] = {}

    def record(self, use: Use, terms: Terms, *, is_live: bool = True) -> UsageRecord:
        """``use`` ready to be recorded."""
        price = self._price(use)
        rated = rate(_usage(use), price.card, use.occurred_at) if price and use.status != "error" else None
        charge = _charge(use, terms, rated, price is not None and price.is_free)
        key_id, member_id, label = terms.keys[use.workload.key]
        source = _cost_source(use, rated)
        derivation = derive(charge, source=source, rated=rated, price_id=price.id if price and rated else None)
        if (sized := sized_of(use)) is not None:
            derivation[SIZED] = sized
        return UsageRecord(
            organization_id=terms.organization_id,
            occurred_at=use.occurred_at,
            kind=use.workload.kind,
            source=use.workload.source,
            cost_source=source,
            name=use.workload.name,
            model=use.workload.model,
            provider=use.workload.provider if use.status != "error" else "",
            member_id=member_id,
            api_key_id=key_id,
            prompt_tokens=use.tokens_in,
            completion_tokens=use.tokens_out,
            cached_tokens=use.cached,
            reasoning_tokens=use.reasoning,
            quantity=Decimal(use.quantity),
            provider_cost=charge.cost,
            markup=charge.markup,
            charge=charge.charge,
            byok_cost=quantize(charge.exact_cost) if charge.is_byok else ZERO,
            is_free=charge.is_free,
            is_byok=charge.is_byok,
            price_id=price.id if price and rated else None,
            tier_slug=terms.tier_slug,
            latency_ms=use.latency_ms,
            status=use.status,
            tags=use.tags,
            derivation=derivation,
            actor=label,
        )

    def _price(self, use: Use) -> BookPrice | None:
        if not use.workload.model or use.workload.unit_cost:
            return None
        model, at = use.workload.model, use.occurred_at
        price = self._cards.get(model)
        if model not in self._cards or (price and price.effective_to and price.effective_to <= at):
            price = self._cards[model] = card_for(model, at)
        return price


def _usage(use: Use) -> TokenUsage:
    return TokenUsage(
        prompt_tokens=use.tokens_in,
        completion_tokens=use.tokens_out,
        cached_tokens=use.cached,
        reasoning_tokens=use.reasoning,
    )


def _charge(use: Use, terms: Terms, rated: Rated | None, is_free: bool) -> Charge:
    cost = rated.cost if rated else use.workload.unit_cost * (use.quantity or use.tokens_in)
    failed = use.status == "error"
    return apply_markup(
        ZERO if failed else cost,
        0 if failed else use.tokens_in + use.tokens_out,
        0 if failed else 1,
        () if failed else terms.components,
        is_free=is_free,
        is_byok=use.workload.is_byok,
    )


def _cost_source(use: Use, rated: Rated | None) -> str:
    if use.status == "error":
        return "none"
    if use.workload.source == "api":
        return "caller"
    return "computed" if rated and use.status == "cancelled" else "provider"
