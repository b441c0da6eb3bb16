"""Asking for the price of a period, and giving its credit when it is due."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from core.times import day_of
from payments.errors import PaymentNotOpen, ProviderRefused, ProviderUnavailable
from payments.models import Collection as PaymentCollection
from payments.models import Payment, Purpose
from payments.models import Status as PaymentStatus
from payments.services import (
    PaymentRequest,
    cancel_payment,
    methods_of,
    open_checkout,
    request_payment,
    submit_payment,
)
from tiers.models import Collection, Subscription
from tiers.services.allocation import allocate_period
from tiers.services.rows import SYSTEM

log = structlog.get_logger(__name__)


@transaction.atomic
def begin_period(*, subscription: Subscription, at: datetime, actor: str = SYSTEM.label) -> Payment | None:
    """Ask for the present period's price and give its credit, each once; the caller holds the organization's lock.

    Credit comes at once where nothing is to be paid or an invoice is sent, else with the payment. A trial brings
    neither. Returns the payment, None where nothing is charged.
    """
    index = subscription.period_index
    if index < 0:
        return None
    if not waits_for_payment(subscription):
        allocate_period(subscription=subscription, index=index, at=at, actor=actor)
    if not is_charged(subscription):
        return None
    return request_payment(**asdict(period_request(subscription, at)), actor=actor)


def is_charged(subscription: Subscription) -> bool:
    """Whether its periods are to be paid for."""
    return bool(subscription.price) and subscription.collection != Collection.NONE


def waits_for_payment(subscription: Subscription) -> bool:
    """Whether the credit of a period comes with its payment; where an invoice is sent, it comes at once."""
    return is_charged(subscription) and subscription.collection != Collection.MANUAL


def period_request(subscription: Subscription, at: datetime) -> PaymentRequest:
    """The payment of the subscription's present period."""
    return PaymentRequest(
        organization_id=subscription.organization_id,
        purpose=Purpose.SUBSCRIPTION,
        amount=subscription.price,
        credits=subscription.monthly_credit,
        subject={
            "subscription": str(subscription.id),
            "period_index": subscription.period_index,
            "credited": not waits_for_payment(subscription),
            "description": f"{subscription.tier.name}, {day_of(subscription.period_starts_at, subscription.zone)} to "
            f"{day_of(subscription.period_ends_at, subscription.zone)}",
        },
        key=f"period:{subscription.id}:{subscription.period_index}",
        at=at,
        collection=PaymentCollection(subscription.collection),
    )


def drop_unpaid(organization_id: UUID, *, at: datetime, actor: str) -> None:
    """Stop asking for periods of a subscription that has ended, where no credit was given for them."""
    for payment in Payment.objects.filter(
        organization_id=organization_id,
        purpose=Purpose.SUBSCRIPTION,
        status=PaymentStatus.OPEN,
        subject__credited=False,
    ):
        cancel_payment(payment_id=payment.id, actor=actor, at=at, reason="The subscription has ended.")


def asking(organization_id: UUID) -> str:
    """How to ask for money that somebody waits for: the saved payment method, else the provider's page."""
    saved = methods_of(organization_id).filter(is_default=True)
    return PaymentCollection.AUTOMATIC if saved.exists() else PaymentCollection.CHECKOUT


def collect_now(*, payment: Payment, at: datetime) -> None:
    """Charge the saved payment method, or make the provider's page: somebody waits. Call it outside transactions.

    A provider that does not answer leaves the payment to the next run, and its page to whoever asks for it again.
    """
    if not payment.is_unsettled:
        return
    try:
        if payment.collection == PaymentCollection.AUTOMATIC:
            submit_payment(payment_id=payment.id, at=at)
        elif payment.collection == PaymentCollection.CHECKOUT:
            open_checkout(payment_id=payment.id, at=at)
    except (ProviderUnavailable, ProviderRefused, PaymentNotOpen) as refusal:
        log.warning("tiers.payment_waits", payment_id=str(payment.id), reason=refusal.detail)
