"""How customers' subscriptions begin and end, and how that is told. The customer is locked by the caller."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.principal import Actor
from billing.announcing import announce, note_state_change, record_event
from billing.intervals import step
from billing.models import (
    BenefitGrant,
    Checkout,
    Customer,
    CustomerSubscription,
    PriceKind,
    Product,
    ProductPrice,
    SubscriptionPrice,
    SubscriptionStatus,
)
from billing.services import ledger
from billing.services.grants import revoke_grant, revoke_grants
from billing.usage import consumption, known_meters
from core.times import wire_time

MeteredPrices = list[tuple[UUID, ProductPrice]]

# The names that clients know; another one would break them.
LISTED = frozenset(
    f"subscription.{what}" for what in ("created", "cycled", "canceled", "revoked", "uncanceled", "product_updated")
)


def begin_subscription(
    customer: Customer,
    product: Product,
    prices: Sequence[ProductPrice],
    *,
    actor: Actor | str,
    at: datetime,
    checkout: Checkout | None = None,
    has_trial: bool = False,
    metadata: dict[str, Any] | None = None,
) -> CustomerSubscription:
    """A running subscription from ``at`` on; what it meters is counted from zero. The customer is locked.

    Its benefits are given by the caller, after the order.
    """
    subscription = CustomerSubscription(
        organization_id=customer.organization_id,
        customer=customer,
        product=product,
        checkout=checkout,
        status=SubscriptionStatus.ACTIVE,
        amount=sum(price.price_amount or 0 for price in prices),
        started_at=at,
        metadata=metadata or {},
        created_at=at,
    )
    _set_first_period(subscription, product, at, has_trial=has_trial)
    subscription.save(force_insert=True)
    SubscriptionPrice.objects.bulk_create(
        SubscriptionPrice(subscription=subscription, price=price, created_at=at) for price in prices
    )
    _count_from_zero(customer, subscription, prices, actor, at)
    tell(subscription, customer, "subscription.created", actor=actor, at=at)
    announce_subscription(subscription, "subscription.active", actor, at)
    return subscription


def _set_first_period(subscription: CustomerSubscription, product: Product, at: datetime, *, has_trial: bool) -> None:
    interval, count = product.recurring_interval or "month", product.recurring_interval_count
    subscription.recurring_interval, subscription.recurring_interval_count = interval, count
    subscription.current_period_start = subscription.anchor_at = at
    subscription.current_period_end = step(at, interval, count, 1)
    if has_trial and product.trial_interval and product.trial_interval_count:
        trial_end = step(at, product.trial_interval, product.trial_interval_count, 1)
        subscription.status, subscription.period_index = SubscriptionStatus.TRIALING, -1
        subscription.trial_start, subscription.trial_end = at, trial_end
        subscription.anchor_at = subscription.current_period_end = trial_end


def end_subscription(
    subscription: CustomerSubscription,
    customer: Customer,
    *,
    actor: Actor | str,
    at: datetime,
    ended_at: datetime,
    status: str = SubscriptionStatus.CANCELED,
) -> None:
    """It is over, and what it gives is taken back. The customer is locked."""
    was_asked = subscription.canceled_at is not None
    subscription.status = status
    subscription.canceled_at = subscription.canceled_at or at
    subscription.ends_at = subscription.ended_at = ended_at
    subscription.modified_at = at
    subscription.save()
    revoke_grants(subscription, customer, actor=actor, at=at)
    announce_subscription(subscription, "subscription.updated", actor, at)
    if not was_asked:
        announce_subscription(subscription, "subscription.canceled", actor, at)
    tell(subscription, customer, "subscription.revoked", actor=actor, at=at)


def end_all(customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """End whatever the customer has. He is locked."""
    for subscription in CustomerSubscription.objects.running().filter(customer=customer).order_by("id"):
        end_subscription(subscription, customer, actor=actor, at=at, ended_at=at)
    held = BenefitGrant.objects.filter(customer=customer, revoked_at__isnull=True).select_related("benefit")
    for grant in held.order_by("id"):
        revoke_grant(grant, customer, actor=actor, at=at)


def tell(
    subscription: CustomerSubscription, customer: Customer, type: str, *, actor: Actor | str, at: datetime
) -> None:
    """List it among the customer's events if clients know such an event, announce it, and have his state told."""
    if type in LISTED:
        _list(subscription, customer, type, at)
    announce_subscription(subscription, type, actor, at)
    note_state_change([(customer.id, customer.organization_id)], at=at)


def tell_cycled(subscription: CustomerSubscription, customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """A new period: among the events by its own name, to webhooks as an update."""
    _list(subscription, customer, "subscription.cycled", at)
    announce_subscription(subscription, "subscription.updated", actor, at)
    note_state_change([(customer.id, customer.organization_id)], at=at)


def _list(subscription: CustomerSubscription, customer: Customer, type: str, at: datetime) -> None:
    times = {"subscription.created": "started_at", "subscription.canceled": "canceled_at"}
    record_event(
        type,
        customer,
        at=at,
        subscription_id=subscription.id,
        product_id=subscription.product_id,
        amount=subscription.amount,
        currency="usd",
        recurring_interval=subscription.recurring_interval,
        recurring_interval_count=subscription.recurring_interval_count,
        **({times[type]: wire_time(at)} if type in times else {}),
    )


def announce_subscription(subscription: CustomerSubscription, type: str, actor: Actor | str, at: datetime) -> None:
    """The fact alone."""
    organization_id = subscription.organization_id
    announce(type, organization_id=organization_id, actor=actor, at=at, subscription_id=subscription.id)


def metered_prices(subscription: CustomerSubscription) -> MeteredPrices:
    """What it bills afterwards, each with its meter."""
    rows = subscription.subscription_prices.select_related("price").filter(price__kind=PriceKind.METERED_UNIT)
    return [(row.price.meter_id, row.price) for row in rows if row.price.meter_id is not None]


def _count_from_zero(
    customer: Customer,
    subscription: CustomerSubscription,
    prices: Sequence[ProductPrice],
    actor: Actor | str,
    at: datetime,
) -> None:
    """A fresh window for each meter that it bills, unless another running subscription bills that window already."""
    ids = {price.meter_id for price in prices if price.meter_id is not None}
    others = SubscriptionPrice.objects.filter(
        subscription__customer=customer, subscription__ended_at__isnull=True, price__meter_id__in=ids
    ).exclude(subscription=subscription)
    ids -= set(others.values_list("price__meter_id", flat=True))
    meters = known_meters(customer.organization_id, ids)
    for meter_id, meter in sorted(meters.items()):
        row = ledger.lock_meter(customer, meter_id, at)
        consumed = consumption(customer, [meter], {meter_id: row.window_started_at}, at)[meter_id]
        cause = ledger.Cause(actor, at, at, f"Start of {subscription.product.name}")
        ledger.begin_window(row, consumed, cause=cause)
        record_event("meter.reset", customer, at=at, meter_id=meter_id)
