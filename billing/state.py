"""What a customer has, has used and owes: exact at the moment of reading, in a handful of queries."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.amounts import metered_amount
from billing.models import (
    BalanceConvention,
    BenefitGrant,
    Customer,
    CustomerMeter,
    CustomerSubscription,
    MerchantSettings,
    PriceKind,
    SubscriptionPrice,
    SubscriptionStatus,
)
from billing.services.renewal import renew_before_reading
from billing.services.states import remember_meters
from billing.usage import consumption, readings_of
from core.money import EXACT
from metering.meters.models import Meter


@dataclass(frozen=True, slots=True)
class MeterState:
    """A customer's meter in its open window. ``balance`` above zero: credit is left."""

    id: UUID
    customer: Customer
    meter: Meter
    consumed: Decimal
    credited: int
    created_at: datetime
    modified_at: datetime | None

    @property
    def balance(self) -> Decimal:
        """Credited − consumed; see :func:`signed` for what clients are sent."""
        return EXACT.subtract(Decimal(self.credited), self.consumed)


@dataclass(frozen=True, slots=True)
class SubscriptionMeter:
    """What a subscription will bill for one meter if its period ended now; ``amount`` in cents."""

    id: UUID
    meter: Meter
    consumed: Decimal
    credited: int
    amount: int
    created_at: datetime
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """A subscription with its prices and what it has metered."""

    subscription: CustomerSubscription
    prices: tuple[SubscriptionPrice, ...]
    meters: tuple[SubscriptionMeter, ...]


@dataclass(frozen=True, slots=True)
class CustomerState:
    """All that a customer has."""

    customer: Customer
    subscriptions: tuple[SubscriptionState, ...]
    grants: tuple[BenefitGrant, ...]
    meters: tuple[MeterState, ...]
    convention: str


def customer_state(customer: Customer, *, at: datetime) -> CustomerState:
    """The state at this moment; a period that is over is closed first."""
    renew_before_reading(customer_id=customer.id, at=at)
    meters = meter_states([customer], at=at, renew=False)
    running = CustomerSubscription.objects.filter(customer=customer).active().select_related("product")
    subscriptions = subscription_states(list(running.order_by("started_at", "id")), read=meters)
    grants = BenefitGrant.objects.filter(customer=customer, revoked_at__isnull=True).select_related("benefit")
    return CustomerState(
        customer,
        tuple(subscriptions),
        tuple(grants.order_by("granted_at", "id")),
        tuple(state for state in meters if state.meter.archived_at is None),
        convention_of(customer.organization_id),
    )


def meter_states(customers: Sequence[Customer], *, at: datetime, renew: bool = True) -> list[MeterState]:
    """Every meter that these customers (of one organization) have used or been credited on, archived ones too."""
    if not customers:
        return []
    meters = list(Meter.objects.filter(organization_id=customers[0].organization_id).order_by("created_at", "id"))
    if renew:
        for customer in customers:
            renew_before_reading(customer_id=customer.id, at=at)
    rows = _rows(customers)
    states: list[MeterState] = []
    for customer in customers:
        own = rows[customer.id]
        found = readings_of(customer, meters, {key: row.window_started_at for key, row in own.items()})
        unknown = [key for key, reading in found.items() if reading.events and key not in own]
        if unknown:
            remember_meters(customer, unknown, at=at)
            own = _rows([customer])[customer.id]
        consumed = {key: reading.quantity for key, reading in found.items()}
        states += [_meter_state(customer, meter, own[meter.id], consumed) for meter in meters if meter.id in own]
    return states


def subscription_states(
    subscriptions: Sequence[CustomerSubscription], *, read: Iterable[MeterState] | None = None
) -> list[SubscriptionState]:
    """Subscriptions with what they meter. ``read``: meters that were read already, of all their customers."""
    prices = defaultdict(list)
    bought = SubscriptionPrice.objects.filter(subscription__in=subscriptions).select_related("price")
    for row in bought:
        prices[row.subscription_id].append(row)
    if read is None:
        read = _read(subscriptions, bought)
    known = {(state.customer.id, state.meter.id): state for state in read}
    return [
        SubscriptionState(each, tuple(prices[each.id]), _subscription_meters(each, prices[each.id], known))
        for each in subscriptions
    ]


def convention_of(organization_id: UUID) -> str:
    """The organization's sign of balances."""
    found = MerchantSettings.objects.filter(pk=organization_id).values_list("balance_convention", flat=True).first()
    return found or BalanceConvention.CREDITED_MINUS_CONSUMED


def signed(balance: Decimal, convention: str) -> Decimal:
    """``balance`` as clients of an organization are sent it."""
    return balance if convention == BalanceConvention.CREDITED_MINUS_CONSUMED else EXACT.minus(balance)


def _rows(customers: Sequence[Customer]) -> dict[UUID, dict[UUID, CustomerMeter]]:
    rows: dict[UUID, dict[UUID, CustomerMeter]] = defaultdict(dict)
    for row in CustomerMeter.objects.filter(customer__in=customers):
        rows[row.customer_id][row.meter_id] = row
    return rows


def _meter_state(customer: Customer, meter: Meter, row: CustomerMeter, consumed: dict[UUID, Decimal]) -> MeterState:
    return MeterState(row.id, customer, meter, consumed[meter.id], row.credited, row.created_at, row.modified_at)


def _read(subscriptions: Sequence[CustomerSubscription], bought: Iterable[SubscriptionPrice]) -> list[MeterState]:
    """The meters that these subscriptions bill, of each of their customers."""
    wanted = defaultdict(set)
    owners = {each.id: each.customer_id for each in subscriptions}
    for row in bought:
        if row.price.meter_id is not None:
            wanted[owners[row.subscription_id]].add(row.price.meter_id)
    customers = Customer.objects.in_bulk(list(wanted))
    meters = Meter.objects.in_bulk({meter_id for ids in wanted.values() for meter_id in ids})
    rows = _rows(list(customers.values()))
    states = []
    for customer_id, ids in wanted.items():
        customer, own = customers[customer_id], rows[customer_id]
        consumed = consumption(
            customer, [meters[key] for key in ids], {key: row.window_started_at for key, row in own.items()}
        )
        states += [_meter_state(customer, meters[key], own[key], consumed) for key in ids if key in own]
    return states


def _subscription_meters(
    subscription: CustomerSubscription,
    prices: Iterable[SubscriptionPrice],
    known: dict[tuple[UUID, UUID], MeterState],
) -> tuple[SubscriptionMeter, ...]:
    found = []
    for row in prices:
        price = row.price
        if price.kind != PriceKind.METERED_UNIT or price.meter_id is None or price.unit_amount is None:
            continue
        state = known[subscription.customer_id, price.meter_id]
        is_free = subscription.status == SubscriptionStatus.TRIALING or not subscription.is_running
        amount = (
            0
            if is_free
            else metered_amount(
                consumed=state.consumed, credited=state.credited, unit_amount=price.unit_amount, cap=price.cap_amount
            )
        )
        modified = state.modified_at
        found.append(
            SubscriptionMeter(row.id, state.meter, state.consumed, state.credited, amount, row.created_at, modified)
        )
    return tuple(found)
