"""Tiers that are sold and collected elsewhere: a sender of webhooks says which organization is on which.

The sender's id of the subscription is kept with it. Only that one ends it, what is older than what was followed last is
left alone, and one that has ended never begins again.
"""

from datetime import datetime

from accounts.principal import Actor
from payments.registry import ExternalSubscription, on_subscription
from tiers.errors import SaleEnded, SaleOfAnother
from tiers.models import Collection, ExternalSale, Subscription, SubscriptionStatus
from tiers.services.allocation import allocate_period
from tiers.services.pending import withdraw_pending
from tiers.services.rows import lock_up_to_date, open_subscription
from tiers.services.subscriptions import cancel_subscription, reactivate_subscription, subscribe

OVERTAKEN = "Overtaken by what was said later."


@on_subscription
def follow(said: ExternalSubscription, *, at: datetime) -> str:
    """Do as the sender says; hearing it again changes nothing. Nothing is charged here.

    Raises UnknownTier, UnknownOption, OverageOwed, SaleEnded, SaleOfAnother.
    """
    lock_up_to_date(said.organization_id, at)
    sale = _sale_of(said)
    if sale is not None and said.said_at < sale.told_at:
        return OVERTAKEN
    actor = Actor(said.source)
    note = _begin(said, sale, actor, at) if said.event == "active" else _end(said, sale, actor, at)
    if sale is not None:
        ExternalSale.objects.filter(pk=sale.pk).update(told_at=said.said_at)
    return note


def _sale_of(said: ExternalSubscription) -> ExternalSale | None:
    """What is known of the sender's subscription, from now on at least that there is one; None without an id."""
    if not said.reference:
        return None
    sale, _ = ExternalSale.objects.select_for_update().get_or_create(
        source=said.source,
        reference=said.reference,
        defaults={"organization_id": said.organization_id, "told_at": said.said_at},
    )
    if sale.organization_id != said.organization_id:
        raise SaleOfAnother
    return sale


def _begin(said: ExternalSubscription, sale: ExternalSale | None, actor: Actor, at: datetime) -> str:
    if sale is not None and sale.ended_at is not None:
        raise SaleEnded(f"The subscription {sale.reference} has ended; a new one needs an id of its own.")
    before = open_subscription(said.organization_id)
    if before is not None and _is_on(before, said):
        # Also while a coupon lends a better one: hearing of the own one again ends no loan.
        _go_on(before, said, actor, at)
        return f"{said.tier} goes on."
    after = subscribe(
        organization_id=said.organization_id,
        tier_slug=said.tier,
        option=said.option,
        collection=Collection.NONE,
        actor=actor,
        at=at,
        reason=said.reference,
    )
    _tie(after, said)
    if _starts_anew(before, after):
        allocate_period(subscription=after, index=after.period_index, at=at, actor=actor.label)
    return f"{said.tier} is in force."


def _is_on(subscription: Subscription, said: ExternalSubscription) -> bool:
    """Whether what is paid for is what the sender names, in whatever version: that one was bought."""
    tier = subscription.paid_tier or subscription.tier
    option = subscription.paid_option if subscription.paid_tier else subscription.option
    return tier.slug == said.tier and said.option in (None, option)


def _go_on(subscription: Subscription, said: ExternalSubscription, actor: Actor, at: datetime) -> None:
    """The same as before, collected by the sender; what was to happen at the period's end is taken back."""
    if subscription.ends_at or subscription.next_tier_id:
        subscription = reactivate_subscription(organization_id=said.organization_id, at=at, actor=actor)
    withdraw_pending(organization_id=said.organization_id, at=at, actor=actor)
    _tie(subscription, said)


def _tie(subscription: Subscription, said: ExternalSubscription) -> None:
    """Keep whose sale it is. An order that names no subscription leaves the id that is known."""
    if said.reference or subscription.sold_by != said.source:
        subscription.sold_reference = said.reference
    subscription.sold_by, subscription.collection = said.source, Collection.NONE
    if subscription.status == SubscriptionStatus.PAST_DUE:  # here, where nothing is due any more
        subscription.status = SubscriptionStatus.ACTIVE
    subscription.save(update_fields=["sold_by", "sold_reference", "collection", "status"])


def _starts_anew(before: Subscription | None, after: Subscription) -> bool:
    """Whether a first period begins; who changes from one paid tier to another has the credit of the running one."""
    return before is None or (before.id != after.id and before.anchor_at != after.anchor_at)


def _end(said: ExternalSubscription, sale: ExternalSale | None, actor: Actor, at: datetime) -> str:
    """At once when nothing more is paid for, else with the period up to which it is. Anything else is left alone."""
    at_once = said.ends_at is None or said.ends_at <= at
    if at_once and sale is not None and sale.ended_at is None:
        ExternalSale.objects.filter(pk=sale.pk).update(ended_at=at)
    current = open_subscription(said.organization_id)
    if current is None or current.is_free or not _is_of(current, said):
        return "Not what is in force; nothing changed."
    cancel_subscription(organization_id=said.organization_id, at=at, actor=actor, at_once=at_once, until=said.ends_at)
    return f"{current.tier.slug} has ended." if at_once else f"{current.tier.slug} ends with its period."


def _is_of(subscription: Subscription, said: ExternalSubscription) -> bool:
    """Whether it is the sender's subscription; one that was only named by its orders is known by its tier."""
    if subscription.sold_by != said.source:
        return False
    if subscription.sold_reference:
        return subscription.sold_reference == said.reference
    return not said.tier or (subscription.paid_tier or subscription.tier).slug == said.tier
