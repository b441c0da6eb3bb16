"""Payments that their payers dispute with the bank: the money is gone until it is decided."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from core.money import ZERO
from outbox.services import publish
from payments.models import Dispute, DisputeStatus, Payment, Status
from payments.money import credit_share
from payments.providers.reports import DisputeReport
from payments.registry import tell_settled
from payments.services.refunds import SELLS_CREDIT, give_credit_again, take_unspent
from payments.services.settling import locked_payment
from payments.services.top_ups import pause_top_ups

_PAID = (Status.SUCCEEDED, Status.REFUNDED)  # a part may have been given back before


@transaction.atomic
def record_dispute(payment: Payment, report: DisputeReport, *, at: datetime) -> Dispute:
    """Keep what a provider says of a dispute; hearing it again, or late, changes nothing.

    When it is heard of first, what is unspent and not held of the credit that the payment bought is taken back, and
    automatic top-ups stop. Won, that credit comes again; lost, the payment counts as given back. What is spent stays
    spent, and a subscription goes on: both are an operator's to decide.
    """
    payment = locked_payment(payment.id)
    facts = {"organization_id": payment.organization_id, "payment": payment, "amount": report.amount, "opened_at": at}
    dispute, is_new = Dispute.objects.get_or_create(
        provider=report.provider, reference=report.dispute_reference, defaults={**facts, "reason": report.reason[:60]}
    )
    if is_new:
        _open(dispute, report.provider, at)
    if report.status != DisputeStatus.OPEN and dispute.status == DisputeStatus.OPEN:
        _close(dispute, report, at)
    return dispute


def _open(dispute: Dispute, actor: str, at: datetime) -> None:
    payment = dispute.payment
    if payment.status in _PAID and payment.purpose in SELLS_CREDIT:
        dispute.credits_taken = take_unspent(payment, f"Disputed: {dispute.reason or 'no reason given'}", actor, at)
        dispute.save(update_fields=["credits_taken"])
    pause_top_ups(payment, "A payment was disputed with the bank.", at=at, by_dispute=True)
    _tell("payment.disputed", dispute, actor, at, reason=dispute.reason, credits_taken=dispute.credits_taken)


def _close(dispute: Dispute, report: DisputeReport, at: datetime) -> None:
    dispute.status, dispute.closed_at = report.status, at
    dispute.save(update_fields=["status", "closed_at"])
    if report.status == DisputeStatus.WON:
        _give_back(dispute, report.provider, at)
    else:
        _write_off(dispute, at)
    _tell(f"payment.dispute_{report.status}", dispute, report.provider, at)


def _give_back(dispute: Dispute, actor: str, at: datetime) -> None:
    """The credit that was taken comes again, less the share of what was refunded meanwhile."""
    payment = dispute.payment
    if dispute.credits_taken <= ZERO or payment.status not in _PAID:
        return
    refunds = credit_share(payment.credits, payment.refunded, payment.amount)
    amount = dispute.credits_taken - max(refunds - payment.credits_refunded, ZERO)
    give_credit_again(payment, amount, "Credit given back after a dispute", actor, at)


def _write_off(dispute: Dispute, at: datetime) -> None:
    """The bank keeps the money: the payment counts as given back, by nobody's hand here."""
    payment = dispute.payment
    if payment.status not in _PAID:
        return
    was_paid = payment.status == Status.SUCCEEDED
    payment.refunded = min(payment.refunded + dispute.amount, payment.amount)
    payment.status, payment.ended_at = Status.REFUNDED, at
    if was_paid:
        payment.refund_reference, payment.retry_at = dispute.reference, None
    payment.save(update_fields=["refunded", "status", "ended_at", "refund_reference", "retry_at"])
    if was_paid:
        tell_settled(payment, at=at)


def _tell(type: str, dispute: Dispute, actor: str, at: datetime, **facts: Decimal | str) -> None:
    about = {"payment_id": dispute.payment_id, "dispute_id": dispute.id, "amount": dispute.amount, **facts}
    publish(type=type, organization_id=dispute.organization_id, data=about, actor=actor, at=at)
