"""What becomes of a subscription when its period ends, and when it is not paid."""

from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.principal import Actor
from tiers.models import ChangeStatus, Collection, ExternalSale, Subscription, SubscriptionStatus, Tier
from tiers.options import options_of
from tiers.querysets import forget_terms
from tiers.services.paying import drop_unpaid
from tiers.services.pending import conclude, pending_change, withdraw_pending
from tiers.services.rows import SYSTEM, end, limit_overage, periods_from, succeed, tell


@transaction.atomic
def open_next_period(*, subscription: Subscription) -> Subscription | None:
    """The row in force from the end of the subscription's period on; the caller holds the organization's lock.

    A scheduled cancellation or change happens now, a lent tier goes back, a trial becomes a paid subscription; else the
    same row goes on. None when it was cancelled and there is no default tier to fall to.
    """
    boundary, index = subscription.period_ends_at, subscription.period_index + 1
    if subscription.cancel_at_period_end:
        return fall_to_default(subscription=subscription, at=boundary, reason="canceled")
    following = periods_from(subscription.anchor_at, subscription.zone, index)
    if subscription.last_period is not None:
        is_last = index >= subscription.last_period
        following |= {"cancel_at_period_end": is_last, "last_period": None if is_last else subscription.last_period}
    if subscription.next_tier is not None:
        return _change(subscription, subscription.next_tier, subscription.next_option, following)
    if not subscription.is_free:
        # A switch that was computed for the old period no longer fits the next one.
        withdraw_pending(organization_id=subscription.organization_id, at=boundary)
    if subscription.status == SubscriptionStatus.TRIALING:
        following["status"] = SubscriptionStatus.ACTIVE
    if subscription.paid_tier is not None and index >= (subscription.lent_until or 0):
        return _give_back(subscription, following)
    following["trial_ends_at"] = subscription.trial_ends_at
    for name, value in following.items():
        setattr(subscription, name, value)
    subscription.save(update_fields=list(following))
    transaction.on_commit(forget_terms)
    return subscription


@transaction.atomic
def fall_to_default(
    *, subscription: Subscription, at: datetime, reason: str, actor: Actor = SYSTEM, words: str = ""
) -> Subscription | None:
    """End the subscription at ``at`` and go on with its catalogue's free tier or the default one, if there is one.

    ``reason``: canceled, unpaid; ``words``: what an operator says.
    """
    withdraw_pending(organization_id=subscription.organization_id, at=at)
    before = subscription.tier.slug
    tier = Tier.objects.base_of(subscription.tier, at)
    end(subscription, at=at, reason=reason)
    _end_sale(subscription, at)
    drop_unpaid(subscription.organization_id, at=at, actor=actor.label)
    tell("subscription.ended", subscription, actor, at, reason=words or reason)
    if tier is None:
        return None
    after = Subscription.objects.create(
        organization=subscription.organization,
        tier=tier,
        option=options_of(tier)[0].slug,
        started_at=at,
        **periods_from(at, subscription.zone),
    )
    limit_overage(subscription.organization_id, tier, strict=False)
    tell("tier.changed", after, actor, at, before=before)
    return after


@transaction.atomic
def mark_past_due(*, subscription: Subscription, at: datetime) -> None:
    """Note that a payment failed and is tried again; the terms stay meanwhile."""
    if subscription.status == SubscriptionStatus.ACTIVE:
        _set_status(subscription, SubscriptionStatus.PAST_DUE)
        tell("subscription.past_due", subscription, SYSTEM, at)


@transaction.atomic
def mark_paid(*, subscription: Subscription, at: datetime) -> None:
    """Note that what was due has been paid."""
    if subscription.status == SubscriptionStatus.PAST_DUE:
        _set_status(subscription, SubscriptionStatus.ACTIVE)
        tell("subscription.recovered", subscription, SYSTEM, at)


def _end_sale(subscription: Subscription, at: datetime) -> None:
    """What was sold elsewhere is over: nothing that its sender says later brings it back."""
    if subscription.sold_reference:
        sales = ExternalSale.objects.filter(source=subscription.sold_by, reference=subscription.sold_reference)
        sales.filter(ended_at__isnull=True).update(ended_at=at)


def _change(subscription: Subscription, tier: Tier, option: str, following: dict[str, Any]) -> Subscription:
    boundary, before = subscription.period_ends_at, subscription.tier.slug
    collection = subscription.collection
    if not tier.has_bills:
        collection = Collection.NONE
    after = succeed(
        subscription,
        at=boundary,
        reason="switched",
        tier=tier,
        option=option,
        collection=collection,
        status=SubscriptionStatus.ACTIVE,
        **following,
    )
    limit_overage(after.organization_id, tier, strict=False)
    if change := pending_change(after.organization_id):
        conclude(change, ChangeStatus.APPLIED, at=boundary)
    tell("tier.changed", after, SYSTEM, boundary, before=before)
    return after


def _give_back(subscription: Subscription, following: dict[str, Any]) -> Subscription:
    """The end of a lent tier: what was paid for meanwhile is what it is again."""
    boundary, before, tier = subscription.period_ends_at, subscription.tier.slug, subscription.paid_tier
    after = succeed(subscription, at=boundary, reason="lent", tier=tier, option=subscription.paid_option, **following)
    limit_overage(after.organization_id, after.tier, strict=False)
    tell("tier.changed", after, SYSTEM, boundary, before=before)
    return after


def _set_status(subscription: Subscription, status: SubscriptionStatus) -> None:
    subscription.status = status
    subscription.save(update_fields=["status"])
