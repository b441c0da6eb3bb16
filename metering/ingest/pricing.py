"""What a reported event costs: the caller's own figure or the price list's, plus the tier's markup."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Q

from accounts.models import Membership
from core.errors import InvalidRequest
from core.money import ZERO, quantize, to_wire
from core.ttlcache import TtlCache
from metering.derivation import derive
from metering.errors import AmountTooLarge, ByokNotIncluded, UnknownModel, UnpricedUsage
from metering.ingest.checks import MOST_USD
from metering.ingest.reporter import Reporter
from metering.ingest.shapes import TrackedEvent
from metering.metered.hits import checked_hits
from metering.price_book import BookPrice, card_for
from metering.rating import Charge, TokenUsage, apply_markup, rate
from metering.records import UsageRecord, hash_of
from tiers.terms import TierTerms

_encode = msgspec.json.Encoder(decimal_format="number").encode
_members: TtlCache[UUID, frozenset[UUID]] = TtlCache(seconds=2, size=10_000)


def record_of(event: TrackedEvent, reporter: Reporter, terms: TierTerms, *, at: datetime) -> UsageRecord:
    """The event with its charge, ready to be recorded.

    Raises UnknownModel (quantities that no price list covers and no ``cost``), UnpricedUsage, UnpriceableCall,
    AmountTooLarge, NegativeUsage, ByokNotIncluded, InvalidRequest (a member of somebody else's).
    """
    record = _plain_record(event, reporter, at)
    record.tier_slug = terms.slug
    if event.is_byok and not terms.byok_allowed:
        raise ByokNotIncluded()
    price = card_for(event.model, record.occurred_at) if event.model else None
    if event.cost is not None:
        is_free = event.cost == 0 if price is None else price.is_free
        charge = _charge(event, terms, event.cost, is_free=is_free)
        _put(record, charge, "caller", derive(charge, source="caller"))
    elif price is not None:
        _rate(record, event, terms, price)
    elif _has_quantities(event) and not event.is_byok:
        raise UnknownModel(_how_to_price(event), model=event.model)
    if terms.metered_prices:
        record.metered = checked_hits(record, terms.metered_prices)
    return record


def _plain_record(event: TrackedEvent, reporter: Reporter, at: datetime) -> UsageRecord:
    """The event as it was reported, before anything is known of its price."""
    if event.member_id is not None and event.member_id not in _members_of(reporter.organization_id):
        raise InvalidRequest("There is no such member in this organization.", member_id=event.member_id)
    content_hash, exact_hash = (None, None) if event.external_id is None else _hashes(event)
    return UsageRecord(
        organization_id=reporter.organization_id,
        occurred_at=event.occurred_at or at,
        kind=event.kind,
        source="api",
        cost_source="none",
        name=event.name,
        external_id=event.external_id,
        content_hash=content_hash,
        exact_hash=exact_hash,
        member_id=event.member_id or reporter.member_id,
        api_key_id=reporter.api_key_id,
        model=event.model,
        provider=event.provider,
        prompt_tokens=event.prompt_tokens,
        completion_tokens=event.completion_tokens,
        cached_tokens=event.cached_tokens,
        cache_write_tokens=event.cache_write_tokens,
        reasoning_tokens=event.reasoning_tokens,
        quantity=_quantity(event),
        is_byok=event.is_byok,
        hold_id=event.hold_id,
        generation_id=event.generation_id,
        status=event.status,
        latency_ms=event.latency_ms,
        tags=event.tags,
        metadata=msgspec.Raw(_encode(event.metadata)) if event.metadata else {},
        actor=reporter.actor,
        limit_ids=reporter.limit_ids,
        customer_id=event.customer_id,
        external_customer_id=event.external_customer_id,
        parent_id=event.parent_id,
    )


def _hashes(event: TrackedEvent) -> tuple[UUID, UUID | None]:
    """What the event is known by, and the hash of how it is written where that is another: 1 and 1.0 are one quantity,
    and an instant is the same in every zone."""
    plain: dict[str, Any] = {}
    for name in ("cost", "quantity", "seconds"):
        value = getattr(event, name)
        if value is not None and str(value) != (text := to_wire(value)):
            plain[name] = Decimal(text)
    if event.occurred_at is not None and event.occurred_at.utcoffset():
        plain["occurred_at"] = event.occurred_at.astimezone(UTC)
    if not plain:
        return hash_of(event), None
    return hash_of(msgspec.structs.replace(event, **plain)), hash_of(event)


def _quantity(event: TrackedEvent) -> Decimal:
    """The event's own figure, else what its kind is counted in."""
    if event.quantity is not None:
        return event.quantity
    return event.seconds or Decimal(event.characters or event.searches or event.images)


def _has_quantities(event: TrackedEvent) -> bool:
    """Whether something was used that must have a price."""
    return bool(
        event.prompt_tokens
        or event.completion_tokens
        or event.characters
        or event.searches
        or event.images
        or event.seconds
    )


def _how_to_price(event: TrackedEvent) -> str:
    if not event.model:
        return "Name the model, or send what it cost you as cost."
    return f'No price is known for "{event.model}" at that time. Send what it cost you as cost.'


def _rate(record: UsageRecord, event: TrackedEvent, terms: TierTerms, price: BookPrice) -> None:
    if event.quantity and not _has_quantities(event):
        raise UnpricedUsage(
            f"{price.model.id} is priced by tokens, characters, searches, images or seconds, not by quantity. "
            "Send those, or what it cost you as cost.",
            model=price.model.id,
        )
    rated = rate(_usage(event), price.card, record.occurred_at)
    if rated.unpriced:
        raise UnpricedUsage(
            f"The price list of {price.model.id} has no price per {', '.join(rated.unpriced)}. "
            "Send what it cost you as cost.",
            model=price.model.id,
            unpriced=list(rated.unpriced),
        )
    charge = _charge(event, terms, rated.cost, is_free=price.is_free)
    record.model = price.model.id
    record.price_id = price.id
    _put(record, charge, "computed", derive(charge, source="computed", rated=rated, price_id=price.id))


def _usage(event: TrackedEvent) -> TokenUsage:
    return TokenUsage(
        prompt_tokens=event.prompt_tokens,
        completion_tokens=event.completion_tokens,
        cached_tokens=event.cached_tokens,
        cache_write_tokens=event.cache_write_tokens,
        reasoning_tokens=event.reasoning_tokens,
        images=event.images,
        searches=event.searches,
        characters=event.characters,
        seconds=event.seconds,
    )


def _charge(event: TrackedEvent, terms: TierTerms, cost: Decimal, *, is_free: bool) -> Charge:
    tokens = event.prompt_tokens + event.completion_tokens
    return apply_markup(cost, tokens, 1, terms.components, is_free=is_free, is_byok=event.is_byok)


def _put(record: UsageRecord, charge: Charge, source: str, derivation: dict[str, Any]) -> None:
    if charge.charge >= MOST_USD or charge.exact_cost >= MOST_USD:
        raise AmountTooLarge(charge=charge.charge, limit=MOST_USD)
    record.cost_source = source
    record.provider_cost = charge.cost
    record.markup = charge.markup
    record.charge = charge.charge
    record.byok_cost = quantize(charge.exact_cost) if charge.is_byok else ZERO
    record.is_free = charge.is_free
    record.derivation = derivation


def _members_of(organization_id: UUID) -> frozenset[UUID]:
    try:
        return _members.get(organization_id)
    except KeyError:
        # a test twin has no members of its own
        mine = Q(organization_id=organization_id) | Q(organization__test_twin=organization_id)
        found = frozenset(Membership.objects.filter(mine).values_list("id", flat=True))
        _members.put(organization_id, found)
        return found
