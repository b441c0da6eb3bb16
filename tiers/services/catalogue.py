"""Tiers and their versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from core.errors import InvalidRequest, NotFound
from core.ids import uuid7
from outbox.services import publish
from tiers.components import checked_components
from tiers.entitlements import checked_entitlements
from tiers.errors import VersionScheduled
from tiers.metered import checked_metered_prices
from tiers.models import Subscription, Tier
from tiers.options import checked_options
from tiers.proration import CENT_PLACES
from tiers.querysets import forget_terms


@transaction.atomic
def create_tier(*, at: datetime, actor: Actor | None = None, reason: str = "", **fields: Any) -> Tier:
    """A new tier's first version; ``actor`` is None for those that are shipped.

    Raises InvalidRequest for figures that cannot be computed with.
    """
    tier = Tier(created_at=at, **fields)
    _check(tier)
    tier.save(force_insert=True)
    facts = {"tier": tier.slug, "version": tier.version, "reason": reason}
    if actor is not None:
        publish(type="tier.created", organization_id=None, data=facts, actor=actor, at=at)
    return tier


@transaction.atomic
def new_version(
    *,
    tier_id: UUID,
    changes: dict[str, Any],
    at: datetime,
    actor: Actor,
    effective_at: datetime | None = None,
    reason: str = "",
) -> Tier:
    """The tier with ``changes`` as its next version from ``effective_at`` (default: ``at``) on.

    Organizations on the old version keep its terms. Raises NotFound for a version that is not the newest,
    VersionScheduled while another version is waiting to begin, InvalidRequest.
    """
    effective_at = effective_at or at
    if effective_at < at:
        raise InvalidRequest("A version cannot begin in the past.")
    old = Tier.objects.select_for_update().newest().filter(id=tier_id).first()
    if old is None:
        raise NotFound("Only the current version of a tier can be changed.")
    if old.effective_at is not None and old.effective_at > at:
        raise VersionScheduled(effective_at=old.effective_at)
    new = Tier.objects.get(id=tier_id)
    old.retired_at = effective_at
    old.save(update_fields=["retired_at"])
    for field, value in changes.items():
        setattr(new, field, value)
    new.id, new.version, new.effective_at, new.created_at = uuid7(), old.version + 1, effective_at, at
    _check(new)
    new.save(force_insert=True)
    facts = {"tier": new.slug, "version": new.version, "effective_at": effective_at, "reason": reason}
    publish(type="tier.versioned", organization_id=None, data=facts, actor=actor, at=at)
    transaction.on_commit(forget_terms)
    return new


@transaction.atomic
def withdraw_version(*, tier_id: UUID, reason: str, at: datetime, actor: Actor) -> Tier:
    """Take back a version that has not begun; the one before it goes on. Raises NotFound for any other."""
    version = Tier.objects.select_for_update().newest().filter(id=tier_id, effective_at__gt=at).first()
    if version is None or Subscription.objects.filter(tier=version).exists():
        raise NotFound("Only a version that has not begun can be withdrawn.")
    before = Tier.objects.select_for_update().get(slug=version.slug, version=version.version - 1)
    facts = {"tier": version.slug, "version": version.version, "reason": reason}
    version.delete()
    before.retired_at = None
    before.save(update_fields=["retired_at"])
    publish(type="tier.version_withdrawn", organization_id=None, data=facts, actor=actor, at=at)
    return before


def _check(tier: Tier) -> None:
    """Bring what is stored as JSON into its form, and refuse prices that nobody could pay."""
    tier.components = checked_components(tier.components)
    tier.options = checked_options(tier.options)
    tier.entitlements = checked_entitlements(tier.entitlements)
    tier.metered_prices = checked_metered_prices(tier.metered_prices)
    if tier.monthly_price != round(tier.monthly_price, CENT_PLACES):
        raise InvalidRequest("The price of a month is in whole cents.")
