"""A switch that nothing stands in the way of any more comes into force, with its credit."""

from datetime import datetime

from django.db import transaction

from accounts.principal import Actor
from credits.upkeep import bring_up_to_date
from tiers.models import ChangeStatus, Collection, Subscription, SubscriptionStatus, TierChange
from tiers.services.allocation import allocate_credit, allocate_period
from tiers.services.pending import conclude
from tiers.services.rows import SYSTEM, limit_overage, open_subscription, periods_from, succeed, tell


@transaction.atomic
def apply_change(*, change: TierChange, at: datetime, actor: Actor = SYSTEM) -> Subscription | None:
    """Put a switch into force at ``at``; the caller holds the organization's lock.

    None when it does not fit any more: the subscription has meanwhile become another one, or has entered its next
    period.
    """
    bring_up_to_date([change.organization_id], at)
    before = open_subscription(change.organization_id)
    starts_new_period = change.derivation["starts_new_period"]
    if not _still_fits(change, before, starts_new_period):
        return None
    after = _take_over(change, before, starts_new_period, at)
    limit_overage(after.organization_id, after.tier, strict=False)
    if starts_new_period:
        allocate_period(subscription=after, index=0, at=at, actor=actor.label)
    else:
        allocate_credit(
            subscription=after,
            amount=change.credit,
            reason=f"Credit of {after.tier.name} for the rest of the period",
            key=f"change:{change.id}",
            index=after.period_index,
            at=at,
            actor=actor.label,
        )
    conclude(change, ChangeStatus.APPLIED, at=at)
    tell("tier.changed", after, actor, at, before=change.from_tier and change.from_tier.slug, change=change.kind)
    return after


def _still_fits(change: TierChange, before: Subscription | None, starts_new_period: bool) -> bool:
    if starts_new_period:
        # From nothing, a free tier or a trial: any of these will do.
        return before is None or before.is_free or before.status == SubscriptionStatus.TRIALING
    return before is not None and (before.id, before.period_index) == (change.subscription_id, change.period_index)


def _take_over(change: TierChange, before: Subscription | None, starts_new_period: bool, at: datetime) -> Subscription:
    changes = {"tier": change.to_tier, "option": change.to_option, "collection": _collection(change, before)}
    if before is None:
        zone = change.organization.time_zone
        return Subscription.objects.create(
            organization=change.organization, started_at=at, **changes, **periods_from(at, zone)
        )
    if starts_new_period:
        changes |= {"status": SubscriptionStatus.ACTIVE, **periods_from(at, before.zone)}
    return succeed(before, at=at, reason="switched", **changes)


def _collection(change: TierChange, before: Subscription | None) -> Collection:
    """A tier without bills collects nothing; any other goes on as it did, and asks the provider when it did not."""
    if not change.to_tier.has_bills:
        return Collection.NONE
    if before is not None and before.collection != Collection.NONE:
        return Collection(before.collection)
    # A gift stays one at the same price: another option of the same tier.
    is_gift = before is not None and not before.is_free and change.to_tier.monthly_price <= before.price
    return Collection.NONE if is_gift else Collection.AUTOMATIC
