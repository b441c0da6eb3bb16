"""How payments end: once, under the payment's row lock, with their handlers in the same transaction."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from core.errors import InvalidRequest
from core.ids import uuid7
from outbox.services import publish
from payments.errors import PaymentNotOpen, UnknownPayment
from payments.models import Collection, Payment, PaymentMethod, Purpose, Status
from payments.registry import lock_first, tell_declined, tell_settled
from payments.services.discounts import give_back_discount

# After the first failed try. What can wait is tried again; what somebody waits for on a page is not.
RETRIES: dict[str, tuple[timedelta, ...]] = {
    Purpose.SUBSCRIPTION: tuple(timedelta(days=days) for days in (1, 3, 5, 7)),
    Purpose.OVERAGE: tuple(timedelta(days=days) for days in (1, 3, 5, 7)),
}
# References of money that came past the provider: it can only be sent back in the same way.
BY_HAND = "manual:"


@transaction.atomic
def mark_paid(*, payment_id: UUID, actor: str, reason: str, at: datetime) -> Payment:
    """An operator saw the money arrive. Marking it again changes nothing. Raises PaymentNotOpen, UnknownPayment."""
    if not reason.strip():
        raise InvalidRequest("Say how it was paid, for example the number of the bank transfer.")
    payment = locked_payment(payment_id)
    if payment.status == Status.SUCCEEDED:
        return payment
    if payment.status != Status.OPEN:
        raise not_open(payment)
    succeed(payment, reference=f"{BY_HAND}{uuid7()}", actor=actor, at=at, reason=reason)
    return payment


@transaction.atomic
def fail_payment(*, payment_id: UUID, code: str, message: str, actor: str, at: datetime) -> Payment:
    """Give a payment up for good. Raises PaymentNotOpen, UnknownPayment."""
    payment = _unsettled(payment_id)
    end_unpaid(payment, Status.FAILED, code=code, message=message, actor=actor, at=at)
    return payment


@transaction.atomic
def cancel_payment(
    *, payment_id: UUID, actor: str, at: datetime, reason: str = "", organization_id: UUID | None = None
) -> Payment:
    """Nobody wants it any more; canceling again changes nothing.

    ``organization_id``: only a payment of its own. Raises PaymentNotOpen (paid, or with the provider), UnknownPayment.
    """
    payment = locked_payment(payment_id, organization_id)
    if payment.status == Status.CANCELED:
        return payment
    if payment.status != Status.OPEN:
        raise not_open(payment)
    end_unpaid(payment, Status.CANCELED, code="canceled", message=reason, actor=actor, at=at)
    return payment


def locked_payment(payment_id: UUID, organization_id: UUID | None = None) -> Payment:
    """The payment, locked after whatever its handlers lock. Raises UnknownPayment."""
    found = Payment.objects.filter(pk=payment_id)
    if organization_id is not None:
        found = found.filter(organization_id=organization_id)
    about = found.values_list("purpose", "organization_id").first()
    if about is None:
        raise UnknownPayment
    lock_first(*about)
    return found.select_for_update(no_key=True).get()


def not_open(payment: Payment) -> PaymentNotOpen:
    """The refusal for a payment that has ended or is being charged."""
    words = {"processing": "is with the provider at this moment"}.get(payment.status, f"is {payment.status}")
    return PaymentNotOpen(f"The payment {words}.", payment_status=payment.status)


def succeed(
    payment: Payment,
    *,
    reference: str,
    actor: str,
    at: datetime,
    method: PaymentMethod | None = None,
    reason: str = "",
) -> None:
    """The money has arrived: tell who asked for it. The caller holds the lock and has looked at the status."""
    if payment.discount_used_id is not None and payment.status in (Status.CANCELED, Status.FAILED):
        # Its discount was given back when it ended, and may be used up by now: it buys what was paid.
        payment.credits = min(payment.credits, payment.amount)
    payment.status = Status.SUCCEEDED
    payment.paid_at = payment.ended_at = at
    payment.provider_reference = reference
    payment.method = method or payment.method
    payment.failure_code = payment.failure_message = ""
    payment.retry_at = None
    payment.save()
    facts = {"payment_id": payment.id, "purpose": payment.purpose, "amount": payment.amount, "reason": reason}
    publish(type="payment.succeeded", organization_id=payment.organization_id, data=facts, actor=actor, at=at)
    tell_settled(payment, at=at)


def decline(payment: Payment, *, code: str, message: str, actor: str, at: datetime) -> None:
    """A try failed: the next one is planned, or the payment has failed for good.

    A page can be tried again by the payer at once, so a decline there only leaves its words.
    """
    if payment.collection != Collection.AUTOMATIC:
        payment.status = Status.OPEN
        _note_failure(payment, code, message)
        return
    pauses = RETRIES.get(payment.purpose, ())
    if payment.attempts > len(pauses):
        end_unpaid(payment, Status.FAILED, code=code, message=message, actor=actor, at=at)
        return
    payment.retry_at = _next_try(payment, pauses, at)
    payment.status = Status.OPEN
    _note_failure(payment, code, message)
    facts = {"payment_id": payment.id, "purpose": payment.purpose, "code": code, "retry_at": payment.retry_at}
    publish(type="payment.declined", organization_id=payment.organization_id, data=facts, actor=actor, at=at)
    tell_declined(payment, at=at)


def _next_try(payment: Payment, pauses: tuple[timedelta, ...], at: datetime) -> datetime:
    """Days count from when it was first due, not from a late worker's clock. After downtime at least half of each pause
    is left: whoever pays needs time to find another card.
    """
    so_far = pauses[payment.attempts - 2] if payment.attempts > 1 else timedelta(0)
    due = pauses[payment.attempts - 1]
    return max(payment.due_at + due, at + (due - so_far) / 2)


def end_unpaid(payment: Payment, status: Status, *, code: str, message: str, actor: str, at: datetime) -> None:
    """Failed or canceled: the discount goes back, who asked is told. A page that is still open is closed afterwards."""
    payment.status = status
    payment.ended_at = at
    payment.retry_at = at if payment.checkout_reference else None
    _note_failure(payment, code, message)
    give_back_discount(payment)
    facts = {"payment_id": payment.id, "purpose": payment.purpose, "code": code, "reason": message}
    publish(type=f"payment.{status}", organization_id=payment.organization_id, data=facts, actor=actor, at=at)
    tell_settled(payment, at=at)


def _note_failure(payment: Payment, code: str, message: str) -> None:
    payment.failure_code, payment.failure_message = code[:60], message[:300]
    payment.save()


def _unsettled(payment_id: UUID) -> Payment:
    payment = locked_payment(payment_id)
    if not payment.is_unsettled:
        raise not_open(payment)
    return payment
