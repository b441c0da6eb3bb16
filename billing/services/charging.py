"""Charging customers. No provider is called inside a transaction.

A charge is claimed until a lease ends, the provider is asked, and the answer is booked. A process that dies in between
leaves a charge whose lease ends: the same try is made again under the same idempotency key.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from billing.collecting import provider_for
from billing.locks import cut_for, lock_customer
from billing.models import (
    Charge,
    ChargeStatus,
    Checkout,
    CheckoutStatus,
    Customer,
    CustomerSubscription,
    Order,
    OrderStatus,
    SubscriptionStatus,
)
from billing.services.closing import close_customer
from billing.services.completing import Card, complete_checkout, is_named
from billing.services.orders import mark_order_paid, subscription_of
from billing.services.subscriptions import announce_subscription, end_subscription, tell
from core.redaction import redact
from outbox.taskruns import apart
from payments.charging import charger_called
from payments.charging.port import CustomerCharge
from payments.errors import ProviderRefused, ProviderUnavailable
from payments.money import in_cents
from payments.providers.port import Answer, Verdict

log = structlog.get_logger(__name__)

ACTOR = "payments"
LEASE = timedelta(minutes=5)
PENDING_PAUSE = timedelta(minutes=10)
# When a renewal that was declined is tried again, counted from its order.
RETRIES = tuple(timedelta(days=days) for days in (1, 3, 5, 7))


def charge_due(*, at: datetime, customer_id: UUID | None = None, limit: int = 100) -> int:
    """Make the tries that are due, of all customers or for one's orders; how many. Workers may do so at once.

    One that goes wrong keeps no other back, and is made again when its lease ends.
    """
    due = Charge.objects.filter(status=ChargeStatus.PROCESSING, retry_at__lte=at).order_by("retry_at")
    if customer_id is not None:
        due = due.filter(order__customer_id=customer_id)
    done = 0
    for charge_id in list(due.values_list("id", flat=True)[:limit]):
        with apart("billing.charge_failed", charge_id):
            done += submit_charge(charge_id=charge_id, at=at) is not None
    return done


def submit_charge(*, charge_id: UUID, at: datetime, is_late: bool = True) -> Charge | None:
    """Make one try, or ask about the last one; None when it is not due (any more).

    ``is_late`` False: whoever pays is waiting for the answer, and may pay in another way if it is no. A fault in asking
    is noted on the charge, for operators to see, and raised.
    """
    charge, since = _claim(charge_id, at)
    if charge is None:
        return None
    try:
        answer = _ask(charge, since)
    except ProviderRefused as refusal:
        answer = Answer(Verdict.DECLINED, code="refused", message=refusal.detail)
    except ProviderUnavailable as away:
        log.warning("billing.provider_away", charge_id=str(charge_id), reason=away.detail)
        _note_trouble(charge, away.code, away.detail)
        return charge
    except Exception as fault:
        _note_trouble(charge, "fault", f"{fault.__class__.__name__}: {fault}")
        raise
    return record_answer(charge_id=charge_id, answer=answer, at=at, is_late=is_late)


@transaction.atomic
def record_answer(*, charge_id: UUID, answer: Answer, at: datetime, is_late: bool = True) -> Charge:
    """Book what the provider said. Saying it again changes nothing."""
    close_customer(customer_id=Charge.objects.values_list("customer_id", flat=True).get(pk=charge_id), at=at)
    charge, checkout, customer = _locked(charge_id, at)
    if charge.status != ChargeStatus.PROCESSING:
        return charge
    charge.reference = answer.reference or charge.reference
    if answer.verdict == Verdict.PAID:
        _paid(charge, checkout, customer, answer, at)
    elif answer.verdict == Verdict.DECLINED:
        charge.failure_code, charge.failure_message = answer.code[:60], answer.message[:300]
        _declined(charge, checkout, customer, at, is_late=is_late)
    else:
        charge.retry_at = at + PENDING_PAUSE
    charge.save()
    return charge


# ---------------------------------------------------------------- the steps


def _claim(charge_id: UUID, at: datetime) -> tuple[Charge | None, datetime | None]:
    """The charge, when it is due, and since when the provider has been asked for this try; None: never before."""
    with transaction.atomic():
        rows = Charge.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        charge = rows.select_related("customer", "checkout", "order").filter(pk=charge_id).first()
        is_due = charge is not None and charge.retry_at is not None and charge.retry_at <= at
        if charge is None or charge.status != ChargeStatus.PROCESSING or not is_due:
            return None, None
        since = charge.asked_at
        charge.asked_at, charge.retry_at = since or at, at + LEASE
        charge.save(update_fields=["asked_at", "retry_at"])
        return charge, since


def _ask(charge: Charge, since: datetime | None) -> Answer:
    charger, facts = charger_called(charge.provider), _facts(charge, since)
    ask: Callable[[CustomerCharge], Answer] = charger.charge_saved
    if charge.reference:
        ask = charger.look_up
    elif charge.checkout_id:
        ask = charger.charge_token if charge.amount else charger.keep_token
    return ask(facts)


def _note_trouble(charge: Charge, code: str, message: str) -> None:
    """Say on the charge why it is still without an answer."""
    waiting = Charge.objects.filter(pk=charge.pk, status=ChargeStatus.PROCESSING)
    waiting.update(failure_code=code[:60], failure_message=redact(message)[:300])


def _facts(charge: Charge, since: datetime | None) -> CustomerCharge:
    customer, checkout = charge.customer, charge.checkout
    keeper = _keeper(charge)
    is_kept_there = keeper is not None and keeper.provider == charge.provider
    return CustomerCharge(
        id=charge.id,
        attempt=charge.attempts,
        organization_id=charge.organization_id,
        amount=charge.amount,
        description=charge.order.invoice_number if charge.order else "Checkout",
        token=charge.token,
        customer=keeper.provider_customer if keeper and is_kept_there else "",
        method=keeper.payment_method if keeper and is_kept_there else "",
        email=customer.email if customer else checkout.customer_email if checkout else "",
        name=customer.name if customer else checkout.customer_name if checkout else "",
        reference=charge.reference,
        asked_since=since,
    )


def _keeper(charge: Charge) -> Customer | CustomerSubscription | None:
    """Whose saved means of payment are used: the subscription's own, else its customer's.

    None for whoever is known by nothing but the e-mail address that he typed.
    """
    if charge.order is not None and (subscription := charge.order.subscription) is not None and subscription.provider:
        return subscription
    customer, checkout = charge.customer, charge.checkout
    return customer if customer is None or checkout is None or is_named(checkout, customer) else None


def _locked(charge_id: UUID, at: datetime) -> tuple[Charge, Checkout | None, Customer | None]:
    """The charge with what must be locked before it: its checkout, then its customer."""
    about = Charge.objects.select_related("checkout").get(pk=charge_id)
    checkout = about.checkout
    if checkout is not None:
        cut_for(checkout.product_id, about.organization_id, at)
        checkout = Checkout.objects.select_for_update(no_key=True).get(pk=checkout.pk)
    customer = lock_customer(about.customer_id) if about.customer_id else None
    return Charge.objects.select_for_update(no_key=True).get(pk=charge_id), checkout, customer


# ---------------------------------------------------------------- booking answers


def _paid(charge: Charge, checkout: Checkout | None, customer: Customer | None, answer: Answer, at: datetime) -> None:
    if charge.amount and (answer.amount is None or in_cents(answer.amount) != charge.amount):
        log.error("billing.other_amount_paid", charge_id=str(charge.id), amount=str(answer.amount))
    charge.status, charge.ended_at, charge.retry_at = ChargeStatus.SUCCEEDED, at, None
    if checkout is not None:
        # Written first: the order that comes of it says that it is paid.
        card = None if answer.method is None else Card(charge.provider, answer.method)
        charge.customer = customer = complete_checkout(checkout, customer, card=card, actor=ACTOR, at=at)
    if charge.order is not None and customer is not None:
        _order_paid(charge.order, customer, at)


def _order_paid(order: Order, customer: Customer, at: datetime) -> None:
    mark_order_paid(order, customer, actor=ACTOR, at=at)
    subscription = subscription_of(order)
    if subscription is None or subscription.status != SubscriptionStatus.PAST_DUE:
        return
    if subscription.orders.filter(status=OrderStatus.PENDING).exists():
        return
    subscription.status, subscription.modified_at = SubscriptionStatus.ACTIVE, at
    subscription.save(update_fields=["status", "modified_at"])
    tell(subscription, customer, "subscription.active", actor=ACTOR, at=at)
    announce_subscription(subscription, "subscription.updated", ACTOR, at)


def _declined(
    charge: Charge, checkout: Checkout | None, customer: Customer | None, at: datetime, *, is_late: bool
) -> None:
    charge.reference, charge.asked_at = "", None  # the next try is another payment
    if checkout is not None:
        charge.status, charge.ended_at, charge.retry_at = ChargeStatus.FAILED, at, None
        checkout.status = CheckoutStatus.FAILED if is_late else CheckoutStatus.OPEN
        checkout.failure_message, checkout.modified_at = charge.failure_message, at
        checkout.save(update_fields=["status", "failure_message", "modified_at"])
        return
    if charge.order is not None and customer is not None:
        _order_declined(charge, charge.order, customer, at)


def _order_declined(charge: Charge, order: Order, customer: Customer, at: datetime) -> None:
    later = [order.created_at + pause for pause in RETRIES if order.created_at + pause > at]
    subscription = subscription_of(order)
    is_running = subscription is not None and subscription.is_running
    if later and is_running:
        charge.retry_at = later[0]
        charge.attempts += 1
        charge.provider = provider_for(charge.organization_id)  # whoever collects by now
    else:
        charge.status, charge.ended_at, charge.retry_at = ChargeStatus.FAILED, at, None
    if subscription is None or not is_running:
        return
    if not later:
        unpaid = SubscriptionStatus.UNPAID
        end_subscription(subscription, customer, actor=ACTOR, at=at, ended_at=at, status=unpaid)
    elif subscription.status != SubscriptionStatus.PAST_DUE:
        subscription.status, subscription.modified_at = SubscriptionStatus.PAST_DUE, at
        subscription.save(update_fields=["status", "modified_at"])
        tell(subscription, customer, "subscription.past_due", actor=ACTOR, at=at)
        announce_subscription(subscription, "subscription.updated", ACTOR, at)
