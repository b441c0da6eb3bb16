"""Every write of tiers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import Organization
from accounts.principal import Actor
from core.errors import NotFound
from core.ids import uuid7
from credits.models import LotKind
from credits.services import grant_credits, set_overage_limit
from outbox.services import publish
from tiers.components import checked_components
from tiers.errors import UnknownTier
from tiers.models import Subscription, SubscriptionStatus, Tier
from tiers.options import checked_options, options_of
from tiers.querysets import forget_terms, tier_of

SYSTEM = Actor("system")


def create_tier(*, at: datetime, **fields: Any) -> Tier:
    """A new tier's first version. Raises InvalidRequest for price components that cannot be computed with."""
    fields["components"] = checked_components(fields.get("components", []))
    fields["options"] = checked_options(fields.get("options", []))
    return Tier.objects.create(created_at=at, **fields)


@transaction.atomic
def new_version(*, tier_id: UUID, changes: dict[str, Any], at: datetime, actor: Actor) -> Tier:
    """The tier with ``changes`` as its next version; organizations on the old one keep the old terms.

    Raises NotFound for a version that is not the current one, InvalidRequest.
    """
    old = Tier.objects.select_for_update().newest().filter(id=tier_id).first()
    if old is None:
        raise NotFound("Only the current version of a tier can be changed.")
    old.retired_at = at
    old.save(update_fields=["retired_at"])
    new = Tier.objects.get(id=tier_id)
    for field, value in changes.items():
        setattr(new, field, value)
    new.id, new.version, new.effective_at, new.retired_at, new.created_at = uuid7(), old.version + 1, at, None, at
    new.components, new.options = checked_components(new.components), checked_options(new.options)
    new.save(force_insert=True)
    _tell("tier.versioned", None, {"tier": new.slug, "version": new.version}, actor, at)
    transaction.on_commit(forget_terms)
    return new


@transaction.atomic
def subscribe(*, organization_id: UUID, tier_slug: str, at: datetime, actor: Actor = SYSTEM) -> Subscription:
    """Put the organization on the current version of a tier from ``at`` on, with that tier's overage limit.

    Raises UnknownTier, NotFound, or InvalidRequest when more is owed than the tier lets an organization owe.
    """
    tier = Tier.objects.current().filter(slug=tier_slug).first()
    if tier is None:
        raise UnknownTier(f"There is no tier called {tier_slug[:60]!r}.", tiers=_current_slugs())
    organization = _lock(organization_id)
    before = Subscription.objects.filter(organization_id=organization_id, ended_at__isnull=True).first()
    if before is not None and before.tier_id == tier.id:
        return before
    subscription = _replace(before, organization, tier, at)
    set_overage_limit(organization_id=organization_id, limit=tier.overage_limit)
    _tell("tier.changed", organization_id, {"tier": tier.slug, "version": tier.version}, actor, at)
    transaction.on_commit(forget_terms)
    return subscription


def grant_welcome_credit(*, organization_id: UUID, at: datetime) -> None:
    """Give a new customer what their tier gives as a present, once; nothing on a tier that gives none."""
    tier = tier_of(organization_id)
    if tier.welcome_credit > 0:
        grant_credits(
            organization_id=organization_id,
            amount=tier.welcome_credit,
            kind=LotKind.BONUS,
            reason="Welcome credit",
            actor=SYSTEM.label,
            at=at,
            key="welcome-credit",
        )


@transaction.atomic
def settle_in(*, organization_id: UUID, tier_slug: str | None, is_signup: bool, at: datetime) -> None:
    """The first tier of a new organization, and its welcome credit when a person signed up.

    Before any catalogue is loaded there is nothing to subscribe to; the default tier applies once there is one.
    """
    default = Tier.objects.default()
    if tier_slug is None and default is None:
        return
    subscribe(organization_id=organization_id, tier_slug=tier_slug or default.slug, at=at)  # type: ignore[union-attr]
    if is_signup:
        grant_welcome_credit(organization_id=organization_id, at=at)


def _replace(before: Subscription | None, organization: Organization, tier: Tier, at: datetime) -> Subscription:
    """The row in force from ``at`` on. It keeps the periods of the one before, unless that one cost nothing."""
    terms = {"tier": tier, "option": options_of(tier)[0].slug}
    if before is not None and before.started_at == at:
        # A subscription of no length was never in force.
        for field, value in terms.items():
            setattr(before, field, value)
        before.save(update_fields=list(terms))
        return before
    fields: dict[str, Any] = {**terms, "organization": organization, "at": at}
    if before is None:
        return Subscription.objects.begin(zone=organization.time_zone, **fields)
    before.status, before.ended_at, before.end_reason = SubscriptionStatus.ENDED, at, "switched"
    before.save(update_fields=["status", "ended_at", "end_reason"])
    if before.is_free or before.period_index < 0:
        return Subscription.objects.begin(zone=before.zone, **fields)
    return Subscription.objects.begin(
        zone=before.zone, anchor=before.anchor_at, index=before.period_index, collection=before.collection, **fields
    )


def _lock(organization_id: UUID) -> Organization:
    """One change of an organization's tier at a time."""
    organization = Organization.objects.select_for_update().filter(id=organization_id).first()
    if organization is None:
        raise NotFound()
    return organization


def _current_slugs() -> list[str]:
    return list(Tier.objects.current().values_list("slug", flat=True))


def _tell(type: str, organization_id: UUID | None, data: dict[str, Any], actor: Actor, at: datetime) -> None:
    publish(type=type, organization_id=organization_id, data=data, actor=actor, at=at)
