"""Subscriptions and grants as the wire shows them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import prefetch_related_objects

from billing.models import BenefitGrant as GrantRow
from billing.models import CustomerSubscription as Row
from billing.state import SubscriptionMeter as MeterState
from billing.state import SubscriptionState, subscription_states
from billing_api.objects.catalogue import CURRENCY, Benefit, Product, benefit_object, meters_of, price_objects
from billing_api.objects.catalogue import product_objects as products_of
from billing_api.objects.customers import Customer, customer_object
from billing_api.objects.meters import Meter, meter_object
from billing_api.wire import number


class SubscriptionMeter(msgspec.Struct, kw_only=True):
    """What the subscription bills for a meter if its period ended now, cents."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    consumed_units: Decimal | int
    credited_units: int
    amount: int
    meter_id: UUID
    meter: Meter


class SubscriptionBase(msgspec.Struct, kw_only=True):
    """A subscription without what hangs on it."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    metadata: dict[str, Any]
    amount: int
    currency: str = CURRENCY
    recurring_interval: str
    recurring_interval_count: int
    status: str
    current_period_start: datetime
    current_period_end: datetime
    current_meter_period_start: datetime | None
    current_meter_period_end: datetime | None
    trial_start: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    started_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    past_due_at: datetime | None = None
    pause_at_period_end: bool = False
    paused_at: datetime | None = None
    resumes_at: datetime | None = None
    customer_id: UUID
    product_id: UUID
    discount_id: UUID | None = None
    checkout_id: UUID | None
    seats: int | None = None
    units: int | None = None
    customer_cancellation_reason: str | None
    customer_cancellation_comment: str | None


class Subscription(SubscriptionBase, kw_only=True):
    """A subscription with its customer, product, prices and meters."""

    customer: Customer
    product: Product
    discount: None = None
    prices: list[Any]
    meters: list[SubscriptionMeter]
    pending_update: None = None


class BenefitGrant(msgspec.Struct, kw_only=True):
    """A benefit that a customer has, or had."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    granted_at: datetime | None
    is_granted: bool
    revoked_at: datetime | None
    is_revoked: bool
    subscription_id: UUID | None
    order_id: UUID | None
    customer_id: UUID
    member_id: None = None
    benefit_id: UUID
    error: None = None
    customer: Customer
    member: None = None
    benefit: Benefit
    properties: dict[str, Any]
    previous_properties: dict[str, Any] | None = None


def subscription_fields(row: Row) -> dict[str, Any]:
    """What a subscription and its short form have in common."""
    return {
        "id": row.id,
        "created_at": row.created_at,
        "modified_at": row.modified_at,
        "metadata": row.metadata,
        "amount": row.amount,
        "recurring_interval": row.recurring_interval,
        "recurring_interval_count": row.recurring_interval_count,
        "status": row.status,
        "current_period_start": row.current_period_start,
        "current_period_end": row.current_period_end,
        "current_meter_period_start": row.current_period_start,
        "current_meter_period_end": row.current_period_end,
        "trial_start": row.trial_start,
        "trial_end": row.trial_end,
        "cancel_at_period_end": row.cancel_at_period_end,
        "canceled_at": row.canceled_at,
        "started_at": row.started_at,
        "ends_at": row.ends_at,
        "ended_at": row.ended_at,
        "customer_id": row.customer_id,
        "product_id": row.product_id,
        "checkout_id": row.checkout_id,
        "customer_cancellation_reason": row.cancellation_reason or None,
        "customer_cancellation_comment": row.cancellation_comment or None,
    }


def subscription_base(row: Row) -> SubscriptionBase:
    """The subscription without customer, product, prices and meters."""
    return SubscriptionBase(**subscription_fields(row))


def subscription_objects(rows: Sequence[Row], *, versioned: bool) -> list[Subscription]:
    """The subscriptions with all that hangs on them, asked for once for all."""
    prefetch_related_objects(list(rows), "customer", "product")
    products = {row.product_id: row.product for row in rows}
    shown = {each.id: each for each in products_of(list(products.values()), versioned=versioned)}
    return [_subscription(state, shown, versioned) for state in subscription_states(rows)]


def subscription_object(row: Row, *, versioned: bool) -> Subscription:
    """One subscription."""
    return subscription_objects([row], versioned=versioned)[0]


def _subscription(state: SubscriptionState, products: dict[UUID, Product], versioned: bool) -> Subscription:
    row = state.subscription
    prices = sorted((bought.price for bought in state.prices), key=lambda price: price.position)
    return Subscription(
        **subscription_fields(row),
        customer=customer_object(row.customer),
        product=products[row.product_id],
        prices=price_objects(prices, row.product, meters_of(prices), versioned=versioned),
        meters=list(map(subscription_meter, state.meters)),
    )


def subscription_meter(state: MeterState) -> SubscriptionMeter:
    """A meter of a subscription as it stands."""
    return SubscriptionMeter(
        id=state.id,
        created_at=state.created_at,
        modified_at=state.modified_at,
        consumed_units=number(state.consumed),
        credited_units=state.credited,
        amount=state.amount,
        meter_id=state.meter.id,
        meter=meter_object(state.meter),
    )


def grant_object(row: GrantRow) -> BenefitGrant:
    """The grant with its customer and benefit."""
    return BenefitGrant(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        granted_at=row.granted_at,
        is_granted=row.is_granted,
        revoked_at=row.revoked_at,
        is_revoked=not row.is_granted,
        subscription_id=row.subscription_id,
        order_id=row.order_id,
        customer_id=row.customer_id,
        benefit_id=row.benefit_id,
        customer=customer_object(row.customer),
        benefit=benefit_object(row.benefit),
        properties=shown_properties(row.properties),
    )


def shown_properties(properties: dict[str, Any]) -> dict[str, Any]:
    """What a grant last gave, in the names that the clients know."""
    return {name: value for name, value in properties.items() if name.startswith("last_credited_")}
