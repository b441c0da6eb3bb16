"""Which tier an organization is on, read often and cached for a moment."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection

from core.ttlcache import TtlCache
from tiers.errors import NoTier
from tiers.models import Subscription, Tier
from tiers.terms import TierTerms, terms_of

# A changed tier holds within a second in every process; a busy organization costs one query a second and process.
_terms: TtlCache[UUID, TierTerms] = TtlCache(seconds=0.8, size=50_000)


def tier_of(organization_id: UUID) -> Tier:
    """The organization's tier, the default one when it is on none. Raises NoTier without either."""
    tier = Tier.objects.of_organization(organization_id).first() or Tier.objects.default()
    if tier is None:
        raise NoTier()
    return tier


def subscription_of(organization_id: UUID) -> Subscription | None:
    """The subscription in force, with its tiers."""
    rows = Subscription.objects.open().select_related("tier", "next_tier", "paid_tier")
    return rows.filter(organization_id=organization_id).first()


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
        return await (read or _read_in_thread)(organization_id)


def forget_terms() -> None:
    """Empty this process's cache, so that a change made here is seen here at once."""
    _terms.clear()


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


async def _read_in_thread(organization_id: UUID) -> TierTerms:
    return await sync_to_async(_read_with_own_connection, thread_sensitive=False)(organization_id)
