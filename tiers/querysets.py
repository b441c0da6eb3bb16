"""Which tier an organization is on, read often and cached for a moment."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models import Q

from core.singleflight import SingleFlight
from core.ttlcache import TtlCache
from tiers.errors import NoTier
from tiers.models import Subscription, Tier
from tiers.terms import TierTerms, terms_of

# A changed tier holds within a second in every process; a busy organization costs one query a second and process.
_terms: TtlCache[UUID, TierTerms] = TtlCache(seconds=0.8, size=50_000)
_asking: SingleFlight[UUID, TierTerms] = SingleFlight()


def tier_of(organization_id: UUID) -> Tier:
    """The organization's tier, the default one when it is on none. Raises NoTier without either."""
    tier = Tier.objects.of_organization(organization_id).first() or Tier.objects.default()
    if tier is None:
        raise NoTier()
    return tier


def name_of(slug: str) -> str:
    """What people call the tier; of one that is no longer offered, what it was called last."""
    names = Tier.objects.filter(slug=slug).order_by("-version").values_list("name", flat=True)
    return names.first() or slug


def subscription_of(organization_id: UUID) -> Subscription | None:
    """The subscription in force, with its tiers."""
    rows = Subscription.objects.open().select_related("tier", "next_tier", "paid_tier")
    return rows.filter(organization_id=organization_id).first()


def metered_prices_at(organization_id: UUID, at: datetime) -> Sequence[Mapping[str, Any]]:
    """What the tier that was in force at ``at`` charges by meters; nothing without a subscription."""
    rows = Subscription.objects.filter(Q(ended_at=None) | Q(ended_at__gt=at), organization_id=organization_id)
    found = rows.filter(started_at__lte=at).select_related("tier").first()
    return found.tier.metered_prices if found is not None else ()


def terms_for(organization_id: UUID) -> TierTerms:
    """The organization's terms, at most a second old. Raises NoTier."""
    try:
        return _terms.get(organization_id)
    except KeyError:
        return _read(organization_id)


async def terms_for_async(
    organization_id: UUID, *, read: Callable[[UUID], Awaitable[TierTerms]] | None = None
) -> TierTerms:
    """The same for the event loop; ``read`` replaces the thread that asks the database."""
    try:
        return _terms.get(organization_id)
    except KeyError:
        return await _asking.ask(organization_id, partial(read or read_terms_in_thread, organization_id))


@cache
def terms_statement() -> str:
    """What many organizations are on, for whoever gathers such questions: their subscription in force with its tier.

    Rows are for :func:`terms_of_row`; an organization without a subscription has none.
    """
    columns = ", ".join(f'tier."{field.column}"' for field in Tier._meta.concrete_fields)
    return f"""
SELECT subscription.organization_id, subscription.id, subscription.option, subscription.period_ends_at, {columns}
FROM tiers_subscription AS subscription JOIN tiers_tier AS tier ON tier.id = subscription.tier_id
WHERE subscription.organization_id = ANY ($1::uuid[]) AND subscription.ended_at IS NULL
"""  # noqa: S608 - names of our own columns


def terms_of_row(row: Sequence[Any]) -> TierTerms:
    """The terms that a row of :func:`terms_statement` stands for; remembered for a moment."""
    organization_id, subscription_id, option, period_ends_at, *values = row
    tier = Tier.from_db(None, [field.attname for field in Tier._meta.concrete_fields], values)
    terms = terms_of(tier, Subscription(id=subscription_id, option=option, period_ends_at=period_ends_at))
    _terms.put(organization_id, terms)
    return terms


def forget_terms() -> None:
    """Empty this process's cache, so that a change made here is seen here at once."""
    _terms.clear()
    _asking.forget()


def _read(organization_id: UUID) -> TierTerms:
    subscription = Subscription.objects.open().select_related("tier").filter(organization_id=organization_id).first()
    tier = subscription.tier if subscription is not None else tier_of(organization_id)
    terms = terms_of(tier, subscription)
    _terms.put(organization_id, terms)
    return terms


def _read_with_own_connection(organization_id: UUID) -> TierTerms:
    try:
        return _read(organization_id)
    finally:
        connection.close()


async def read_terms_in_thread(organization_id: UUID) -> TierTerms:
    """The terms, read by the ORM; remembered for a moment. Raises NoTier."""
    return await sync_to_async(_read_with_own_connection, thread_sensitive=False)(organization_id)
