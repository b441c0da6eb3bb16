"""A customer's state and meters as the wire shows them, with the sign of balances that the merchant has chosen."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from billing.models import BenefitGrant
from billing.models import Customer as CustomerRow
from billing.state import MeterState, SubscriptionState, customer_state, signed
from billing_api.objects.catalogue import CURRENCY
from billing_api.objects.customers import Customer, CustomerState, customer_fields, customer_object
from billing_api.objects.meters import Meter, PriceMeter, meter_object
from billing_api.objects.subscriptions import shown_properties
from billing_api.wire import number


class StateSubscriptionMeter(msgspec.Struct, kw_only=True):
    """What an active subscription would bill for a meter now, cents."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    meter_id: UUID
    consumed_units: Decimal | int
    credited_units: int
    amount: int


class StateSubscription(msgspec.Struct, kw_only=True):
    """An active subscription."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    metadata: dict[str, Any]
    custom_field_data: dict[str, Any] = {}
    status: str
    amount: int
    currency: str = CURRENCY
    recurring_interval: str
    recurring_interval_count: int
    current_period_start: datetime
    current_period_end: datetime
    trial_start: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    started_at: datetime | None
    ends_at: datetime | None
    product_id: UUID
    discount_id: UUID | None = None
    seats: int | None = None
    units: int | None = None
    meters: list[StateSubscriptionMeter]


class StateGrant(msgspec.Struct, kw_only=True):
    """A benefit that the customer has."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    granted_at: datetime
    benefit_id: UUID
    benefit_type: str
    benefit_metadata: dict[str, Any]
    properties: dict[str, Any]


class StateMeter(msgspec.Struct, kw_only=True):
    """How a meter stands since its last reset."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    meter_id: UUID
    consumed_units: Decimal | int
    credited_units: int
    balance: Decimal | int
    meter: PriceMeter


class CustomerMeter(msgspec.Struct, kw_only=True):
    """The same with the customer and the whole meter."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    customer_id: UUID
    meter_id: UUID
    consumed_units: Decimal | int
    credited_units: int
    balance: Decimal | int
    customer: Customer
    meter: Meter


def state_object(customer: CustomerRow, *, at: datetime) -> CustomerState:
    """The customer with subscriptions, benefits and meters, true at ``at``."""
    found = customer_state(customer, at=at)
    return CustomerState(
        **customer_fields(found.customer),
        active_subscriptions=list(map(_subscription, found.subscriptions)),
        granted_benefits=list(map(_grant, found.grants)),
        active_meters=[_meter(state, found.convention) for state in found.meters],
    )


def customer_meter_object(state: MeterState, convention: str) -> CustomerMeter:
    """A customer's meter as a list of its own shows it."""
    return CustomerMeter(
        **_figures(state, convention),
        customer_id=state.customer.id,
        customer=customer_object(state.customer),
        meter=meter_object(state.meter),
    )


def _meter(state: MeterState, convention: str) -> StateMeter:
    return StateMeter(**_figures(state, convention), meter=PriceMeter(id=state.meter.id, name=state.meter.name))


def _figures(state: MeterState, convention: str) -> dict[str, Any]:
    return {
        "id": state.id,
        "created_at": state.created_at,
        "modified_at": state.modified_at,
        "meter_id": state.meter.id,
        "consumed_units": number(state.consumed),
        "credited_units": state.credited,
        "balance": number(signed(state.balance, convention)),
    }


def _grant(row: BenefitGrant) -> StateGrant:
    return StateGrant(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        granted_at=row.granted_at,
        benefit_id=row.benefit_id,
        benefit_type=row.benefit.type,
        benefit_metadata=row.benefit.metadata,
        properties=shown_properties(row.properties),
    )


def _subscription(state: SubscriptionState) -> StateSubscription:
    row = state.subscription
    return StateSubscription(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        metadata=row.metadata,
        status=row.status,
        amount=row.amount,
        recurring_interval=row.recurring_interval,
        recurring_interval_count=row.recurring_interval_count,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        trial_start=row.trial_start,
        trial_end=row.trial_end,
        cancel_at_period_end=row.cancel_at_period_end,
        canceled_at=row.canceled_at,
        started_at=row.started_at,
        ends_at=row.ends_at,
        product_id=row.product_id,
        meters=[
            StateSubscriptionMeter(
                id=each.id,
                created_at=each.created_at,
                modified_at=each.modified_at,
                meter_id=each.meter.id,
                consumed_units=number(each.consumed),
                credited_units=each.credited,
                amount=each.amount,
            )
            for each in state.meters
        ],
    )
