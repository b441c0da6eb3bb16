"""Refunds as the provider tells of them: made with it, made in more parts, or not made after all."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from core.errors import InvalidRequest
from core.money import ZERO
from outbox.services import publish
from payments.errors import PaymentNotRefundable, RefundsOvertaken, RefundTooLarge
from payments.models import REFUND_FAILED, DisputeStatus, Payment, Status
from payments.money import credit_share
from payments.services.refunds import SELLS_CREDIT, give_credit_again, refund_payment, take_credit_back
from payments.services.settling import BY_HAND, locked_payment

REASON = "Refunded with the provider"


@transaction.atomic
def follow_refunds(
    *,
    payment_id: UUID,
    total: Decimal,
    before: tuple[Decimal, int],
    reference: str,
    problem: str,
    actor: str,
    at: datetime,
) -> tuple[Payment, str]:
    """Bring the payment to what its provider has given back by now, ``total`` USD; what became of it in words.

    More than is known is refunded here too; less means that a refund failed, for ``problem``, and what it took is given
    back. Hearing it again, late or in any order, changes nothing. Raises RefundTooLarge, UnknownPayment.

    ``before`` is what was known when the provider was asked (refunded, refunds that failed). Raises RefundsOvertaken
    when that is no longer so: of two answers this may be the older one, in which less has not failed.
    """
    payment = locked_payment(payment_id)
    if (payment.refunded, payment.failed_refunds) != before:
        raise RefundsOvertaken
    lost = _lost(payment)
    known = min(total + lost, payment.amount) if lost else total
    told: dict[str, Any] = {"reference": reference, "actor": actor, "at": at}
    if known > payment.refunded:
        if payment.status == Status.REFUNDED:
            _record_further_refund(payment, total=known, **told)
            return payment, "More was refunded."
        return refund_payment(payment_id=payment_id, amount=known, reason=REASON, **told), "Refunded."
    if known == payment.refunded or _is_given_otherwise(payment):
        return payment, "Known."
    _take_back(payment, known, problem, actor, at)
    return payment, "A refund failed; what it took is given back."


@transaction.atomic
def refund_not_made(*, payment_id: UUID, attempt: int, problem: str, actor: str, at: datetime) -> Payment:
    """The provider refused a refund that it was asked for, the one after ``attempt`` that failed. Once."""
    payment = locked_payment(payment_id)
    if payment.status == Status.REFUNDED and payment.failed_refunds == attempt:
        _take_back(payment, min(_lost(payment), payment.refunded), problem, actor, at)
    return payment


@transaction.atomic
def leave_paid(*, payment_id: UUID, actor: str, reason: str, at: datetime) -> Payment:
    """Refund nothing after a refund that failed; it no longer waits for an operator. Raises PaymentNotRefundable."""
    if not reason.strip():
        raise InvalidRequest("Say why nothing is given back.")
    payment = locked_payment(payment_id)
    if payment.failure_code != REFUND_FAILED:
        raise PaymentNotRefundable("No refund of it has failed.")
    payment.failure_code = payment.failure_message = ""
    payment.save(update_fields=["failure_code", "failure_message"])
    facts = {"payment_id": payment.id, "reason": reason}
    publish(type="payment.left_paid", organization_id=payment.organization_id, data=facts, actor=actor, at=at)
    return payment


def _lost(payment: Payment) -> Decimal:
    """What the bank took of the payment, which no refund gave back, USD."""
    return payment.disputes.filter(status=DisputeStatus.LOST).aggregate(sum=Sum("amount"))["sum"] or ZERO


def _is_given_otherwise(payment: Payment) -> bool:
    """Whether the provider cannot know of it: an operator sent the money, or nobody has asked the provider yet."""
    return payment.refund_reference.startswith(BY_HAND) or payment.is_refund_on_its_way


def _record_further_refund(payment: Payment, *, total: Decimal, reference: str, actor: str, at: datetime) -> None:
    """More money of a payment was given back, ``total`` USD by now; its share of credit goes too."""
    if total > payment.amount:
        raise RefundTooLarge(refundable=payment.amount - payment.refunded)
    further, taken = total - payment.refunded, ZERO
    if payment.purpose in SELLS_CREDIT and payment.credits:
        _, taken = take_credit_back(payment, further, REASON, actor, at)
    payment.refunded, payment.refund_reference, payment.retry_at = total, reference, None
    payment.credits_refunded += taken
    payment.save(update_fields=["refunded", "credits_refunded", "refund_reference", "retry_at"])
    facts = {"payment_id": payment.id, "amount": further, "credits": taken, "reason": REASON}
    publish(type="payment.refunded", organization_id=payment.organization_id, data=facts, actor=actor, at=at)


def _take_back(payment: Payment, left: Decimal, problem: str, actor: str, at: datetime) -> None:
    """Only ``left`` USD are given back: the credit that went with the rest comes again, and operators are told."""
    back = payment.refunded - left
    credits = _credits_of(payment, back)
    payment.refunded, payment.credits_refunded = left, payment.credits_refunded - credits
    payment.failed_refunds += 1
    payment.failure_code, payment.failure_message = REFUND_FAILED, problem[:300]
    payment.retry_at = None
    if not left:
        payment.status, payment.ended_at, payment.refund_reference = Status.SUCCEEDED, payment.paid_at, ""
    payment.save()
    if not _leave_to_dispute(payment, credits):
        give_credit_again(payment, credits, "Credit given back: its refund failed", actor, at)
    facts = {"payment_id": payment.id, "amount": back, "credits": credits, "reason": problem}
    publish(type="payment.refund_failed", organization_id=payment.organization_id, data=facts, actor=actor, at=at)


def _leave_to_dispute(payment: Payment, credits: Decimal) -> bool:
    """Whether the bank has yet to decide about the money: until then the credit is kept with what the dispute took.
    Refunds fail because of disputes, and what came again could be spent before one is lost."""
    dispute = payment.disputes.filter(status=DisputeStatus.OPEN).order_by("opened_at", "id").last()
    if dispute is None:
        return False
    dispute.credits_taken += credits
    dispute.save(update_fields=["credits_taken"])
    return True


def _credits_of(payment: Payment, back: Decimal) -> Decimal:
    """The share of ``back`` USD in the credit that refunds took."""
    by_refunds = payment.refunded - min(_lost(payment), payment.refunded)
    if back >= by_refunds:
        return payment.credits_refunded
    return credit_share(payment.credits_refunded, back, by_refunds)
