"""What an organization may do and pays, as the hot paths carry it around."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tiers.models import ModelAccess, Subscription, Tier
from tiers.options import DEFAULT, option_of


@dataclass(frozen=True, slots=True)
class TierTerms:
    """One version of a tier, read-only."""

    tier_id: UUID
    slug: str
    name: str
    version: int
    components: tuple[Mapping[str, Any], ...]  # of the price: see metering.rating
    model_access: str  # "free", "all" or "list"
    models: frozenset[str]  # ids, or "author/*", when access is "list"
    byok_allowed: bool
    overage_limit: Decimal  # USD below zero
    requests_per_minute: int  # of the organization, all keys together
    tokens_per_minute: int
    free_requests_per_minute: int  # of the provider's shared quota for free models
    entitlements: Mapping[str, Any]
    option: str = DEFAULT
    subscription_id: UUID | None = None
    period_ends_at: datetime | None = None  # past it, the period is closed before anything is spent
    metered_prices: tuple[Mapping[str, Any], ...] = ()  # what is charged by the operator's meters

    def may_use_model(self, model: str, *, is_free: bool) -> bool:
        """Whether the tier includes ``model``; ``is_free`` says that its price is zero."""
        if self.model_access == ModelAccess.ALL:
            return True
        if self.model_access == ModelAccess.FREE:
            return is_free
        return model in self.models or f"{model.partition('/')[0]}/*" in self.models


def terms_of(tier: Tier, subscription: Subscription | None = None) -> TierTerms:
    """The terms of a tier, as its usual option or as the one that the subscription has chosen."""
    option = option_of(tier, DEFAULT if subscription is None else subscription.option)
    return TierTerms(
        tier_id=tier.id,
        slug=tier.slug,
        name=tier.name,
        version=tier.version,
        components=option.components,
        model_access=tier.model_access,
        models=frozenset(tier.model_ids),
        byok_allowed=option.byok_allowed,
        overage_limit=tier.overage_limit,
        requests_per_minute=tier.requests_per_minute,
        tokens_per_minute=tier.tokens_per_minute,
        free_requests_per_minute=tier.free_requests_per_minute,
        entitlements=dict(tier.entitlements),
        option=option.slug,
        subscription_id=subscription.id if subscription else None,
        period_ends_at=subscription.period_ends_at if subscription else None,
        metered_prices=tuple(tier.metered_prices),
    )
