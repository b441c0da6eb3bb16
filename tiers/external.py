"""Tiers that are sold and collected elsewhere: a sender of webhooks says which organization is on which."""

from datetime import datetime

from accounts.principal import Actor
from payments.registry import ExternalSubscription, on_subscription
from tiers.models import Collection, Subscription
from tiers.services.allocation import allocate_period
from tiers.services.rows import lock_up_to_date, open_subscription
from tiers.services.subscriptions import cancel_subscription, reactivate_subscription, subscribe


@on_subscription
def follow(subscription: ExternalSubscription, *, at: datetime) -> None:
    """Do as the sender says; hearing it again changes nothing. Nothing is charged here.

    Raises UnknownTier, UnknownOption, OverageOwed.
    """
    lock_up_to_date(subscription.organization_id, at)
    actor = Actor(subscription.source)
    if subscription.event == "active":
        _begin(subscription, actor, at)
    elif subscription.event == "canceled":
        _end(subscription, actor, at)


def _begin(external: ExternalSubscription, actor: Actor, at: datetime) -> None:
    before = open_subscription(external.organization_id)
    if before is not None and before.cancel_at_period_end and before.tier.slug == external.tier:
        reactivate_subscription(organization_id=external.organization_id, at=at, actor=actor)
    if before is not None and before.paid_tier is not None and before.paid_tier.slug == external.tier:
        return  # a coupon lends a better one for now; hearing of the own one again ends no loan
    after = subscribe(
        organization_id=external.organization_id,
        tier_slug=external.tier,
        option=external.option,
        collection=Collection.NONE,
        actor=actor,
        at=at,
        reason=external.reference,
    )
    if _starts_anew(before, after):
        allocate_period(subscription=after, index=after.period_index, at=at, actor=actor.label)


def _starts_anew(before: Subscription | None, after: Subscription) -> bool:
    """Whether a first period begins; who changes from one paid tier to another has the credit of the running one."""
    return before is None or (before.id != after.id and before.anchor_at != after.anchor_at)


def _end(external: ExternalSubscription, actor: Actor, at: datetime) -> None:
    """At once when nothing more is paid for, else with the running period. Another tier by now is left alone."""
    current = open_subscription(external.organization_id)
    if current is None or current.is_free:
        return
    # While a coupon lends a better tier, the one that is sold elsewhere is the one to come back to.
    if external.tier and (current.paid_tier or current.tier).slug != external.tier:
        return
    at_once = external.ends_at is None or external.ends_at <= at
    cancel_subscription(organization_id=external.organization_id, at=at, actor=actor, at_once=at_once)
