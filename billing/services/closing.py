"""The end of a subscription's period. Dealt with once: the customer is locked, then the end is looked at again.

Whatever moves a customer's credit closes first what is over, so a purchase an instant after a period's end belongs to
the next one however late the jobs are.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.amounts import kept, metered_amount, plain
from billing.announcing import record_event
from billing.collecting import provider_for
from billing.errors import NotFound
from billing.intervals import step
from billing.locks import lock_customer
from billing.models import (
    BillingReason,
    Customer,
    CustomerMeter,
    CustomerSubscription,
    ProductPrice,
    SubscriptionStatus,
)
from billing.services import ledger
from billing.services.grants import benefits_of, cycle_grants
from billing.services.orders import Line, fixed_lines, owe, place_order
from billing.services.subscriptions import MeteredPrices, end_subscription, metered_prices, tell_cycled
from billing.usage import consumption, known_meters
from core.money import to_wire
from metering.meters.models import Meter
from metering.services import cut_off_usage

ACTOR = "renewal"


def close_customer(*, customer_id: UUID | None, at: datetime, wait: bool = True) -> int:
    """Close what is over of one customer, earliest end first; how many periods. What they cost is charged later.

    ``wait`` False: leave him to whoever is at it now.
    """
    closed = 0
    if customer_id is None:
        return closed
    due = CustomerSubscription.objects.due(at).filter(customer_id=customer_id)
    while subscription_id := due.values_list("id", flat=True).first():
        if close_one(subscription_id, at, wait=wait):
            closed += 1
        elif not wait:
            break
    return closed


@transaction.atomic
def close_one(subscription_id: UUID, at: datetime, *, wait: bool = True) -> bool:
    """Close the oldest period of the subscription that is over; False when none is, or somebody else is at it."""
    rows = CustomerSubscription.objects.due(at).filter(pk=subscription_id)
    found = rows.first()
    if found is None:
        return False
    cut_off_usage(organization_id=found.organization_id, at=found.current_period_end)
    try:
        customer = lock_customer(found.customer_id, skip_locked=not wait)
    except NotFound:
        return False
    subscription = rows.select_related("product").first()
    if subscription is None or subscription.current_period_end != found.current_period_end:
        return False  # somebody else was faster
    close_period(subscription, customer, at=at)
    return True


def close_period(subscription: CustomerSubscription, customer: Customer, *, at: datetime) -> None:
    """Bill the period, reset what it counted, then end the subscription or begin its next period."""
    boundary = subscription.current_period_end
    prices = metered_prices(subscription)
    rows = _meter_rows(subscription, customer, prices, at)
    meters = known_meters(customer.organization_id, rows)
    since = {meter_id: row.window_started_at for meter_id, row in rows.items()}
    consumed = consumption(customer, list(meters.values()), since, boundary)
    lines = [_metered_line(subscription, meters[key], rows[key], consumed[key], price) for key, price in prices]
    if subscription.cancel_at_period_end:
        _place(subscription, customer, lines if sum(line.amount for line in lines) else [], at)
        _reset(subscription, customer, rows, consumed, at)
        end_subscription(subscription, customer, actor=ACTOR, at=at, ended_at=boundary)
        return
    bought = subscription.subscription_prices.select_related("price")
    ahead = fixed_lines(subscription.product, [row.price for row in bought])
    _place(subscription, customer, [*ahead, *lines], at)
    _reset(subscription, customer, rows, consumed, at)
    cycle_grants(customer, subscription, actor=ACTOR, at=at, boundary=boundary)
    _advance(subscription, at)
    tell_cycled(subscription, customer, actor=ACTOR, at=at)


def _meter_rows(
    subscription: CustomerSubscription, customer: Customer, prices: MeteredPrices, at: datetime
) -> dict[UUID, CustomerMeter]:
    """The meters that the subscription bills or credits, in a fixed order, locked."""
    ids = {meter_id for meter_id, _ in prices}
    ids |= {benefit.meter_id for benefit in benefits_of(subscription.product) if benefit.meter_id}
    held = subscription.grants.filter(revoked_at__isnull=True)
    ids |= {UUID(grant.properties["last_credited_meter_id"]) for grant in held if grant.has_credited}
    return {meter_id: ledger.lock_meter(customer, meter_id, at) for meter_id in sorted(ids)}


def _metered_line(
    subscription: CustomerSubscription,
    meter: Meter,
    row: CustomerMeter,
    used: Decimal,
    price: ProductPrice,
) -> Line:
    unit = price.unit_amount or Decimal(0)
    is_free = subscription.status == SubscriptionStatus.TRIALING
    amount = metered_amount(consumed=used, credited=row.credited, unit_amount=unit, cap=price.cap_amount)
    label = f"{meter.name}: {plain(kept(used))} used, {row.credited:,} credited, {to_wire(unit)} ¢ a unit"
    start = row.window_started_at or subscription.current_period_start
    end = subscription.current_period_end
    return Line(label, 0 if is_free else amount, price, kept(used), row.credited, start, end)


def _place(subscription: CustomerSubscription, customer: Customer, lines: list[Line], at: datetime) -> None:
    if not lines:
        return
    order = place_order(
        customer,
        subscription.product,
        lines,
        billing_reason=BillingReason.SUBSCRIPTION_CYCLE,
        actor=ACTOR,
        at=at,
        is_paid=False,
        subscription=subscription,
        period_start=subscription.current_period_start,
        period_end=subscription.current_period_end,
    )
    if order.amount:
        owe(order, customer, provider_for(customer.organization_id), at=at)


def _reset(
    subscription: CustomerSubscription,
    customer: Customer,
    rows: dict[UUID, CustomerMeter],
    consumed: dict[UUID, Decimal],
    at: datetime,
) -> None:
    boundary = subscription.current_period_end
    for meter_id, row in rows.items():
        if row.window_started_at is not None and row.window_started_at >= boundary:
            continue  # closed by another subscription since
        cause = ledger.Cause(ACTOR, at, boundary, f"End of a period of {subscription.product.name}")
        carried = ledger.reset(row, consumed[meter_id], cause=cause)
        record_event("meter.reset", customer, at=at, meter_id=meter_id)
        if carried:
            ledger.tell_credited(customer, meter_id, carried, rollover=True, at=at)


def _advance(subscription: CustomerSubscription, at: datetime) -> None:
    subscription.period_index += 1
    subscription.current_period_start = subscription.current_period_end
    subscription.current_period_end = step(
        subscription.anchor_at,
        subscription.recurring_interval,
        subscription.recurring_interval_count,
        subscription.period_index + 1,
    )
    if subscription.status == SubscriptionStatus.TRIALING:
        subscription.status = SubscriptionStatus.ACTIVE
    subscription.modified_at = at
    subscription.save()
