"""Money back. What is unspent of the credit that a payment bought is taken back with it."""

from datetime import datetime
from decimal import Decimal
from typing import cast
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core.errors import InvalidRequest
from core.ids import uuid7
from core.money import ZERO
from credits.errors import NothingLeft, UnknownLot
from credits.models import LedgerEntry, LotKind
from credits.services import grant_credits, void_lot
from outbox.services import publish
from payments.errors import PaymentNotRefundable, RefundTooLarge
from payments.models import Payment, Purpose, Status
from payments.money import credit_share, share
from payments.registry import tell_settled
from payments.services.settling import BY_HAND, locked_payment

SELLS_CREDIT = (Purpose.CREDITS, Purpose.TOP_UP)


def lot_key(payment: Payment) -> str:
    """The ledger key of the credit that a payment bought."""
    return f"payment:{payment.id}"


@transaction.atomic
def refund_payment(
    *,
    payment_id: UUID,
    actor: str,
    reason: str,
    at: datetime,
    amount: Decimal | None = None,
    reference: str = "",
    by_hand: bool = False,
) -> Payment:
    """Give ``amount`` USD of a payment back, once. Refunding again changes nothing.

    Bought credit: the default is the price of what is unspent and not held, and that credit is taken back; a smaller
    amount takes back its share, a larger one all that is unspent. Anything else: the default is all that was paid.
    The provider is told afterwards, unless ``reference`` says that it told us, or an operator sends the money
    (``by_hand``).
    Raises PaymentNotRefundable, RefundTooLarge, UnknownPayment.
    """
    if not reason.strip():
        raise InvalidRequest("Say why it is refunded.")
    payment = locked_payment(payment_id)
    if payment.status == Status.REFUNDED:
        return payment
    _check(payment, amount)
    reference, taken = reference or (f"{BY_HAND}{uuid7()}" if by_hand else ""), ZERO
    if payment.purpose in SELLS_CREDIT and payment.credits:
        amount, taken = take_credit_back(payment, amount, reason, actor, at)
    payment.refunded = payment.amount if amount is None else amount
    payment.credits_refunded = taken
    payment.failure_code = payment.failure_message = ""
    payment.refund_reference = reference
    payment.status, payment.ended_at = Status.REFUNDED, at
    payment.retry_at = None if reference else at
    payment.save()
    facts = {"payment_id": payment.id, "amount": payment.refunded, "credits": taken, "reason": reason}
    publish(type="payment.refunded", organization_id=payment.organization_id, data=facts, actor=actor, at=at)
    tell_settled(payment, at=at)
    return payment


def _check(payment: Payment, amount: Decimal | None) -> None:
    if payment.status != Status.SUCCEEDED or not payment.amount:
        raise PaymentNotRefundable(f"The payment is {payment.status} and held {payment.amount} USD.")
    if amount is None:
        return
    if amount > payment.amount:
        raise RefundTooLarge(refundable=payment.amount)
    if amount <= 0 or amount != amount.quantize(Decimal("0.01")):
        raise InvalidRequest("A refund is a positive amount in whole cents.")


def take_credit_back(
    payment: Payment, amount: Decimal | None, reason: str, actor: str, at: datetime
) -> tuple[Decimal, Decimal]:
    """The money to give back and the credit taken back for it."""
    free = take_unspent(payment, reason, actor, at)
    if amount is None:
        amount = share(payment.amount, min(free, payment.credits), payment.credits)
        if not amount:
            raise PaymentNotRefundable("All the credit that it bought is spent or held. Name an amount to refund it.")
        return amount, free
    wanted = credit_share(payment.credits, amount, payment.amount)
    kept = max(free - wanted, ZERO)
    give_credit_again(payment, kept, "Credit kept after a partial refund", actor, at)
    return amount, free - kept


def give_credit_again(payment: Payment, amount: Decimal, reason: str, actor: str, at: datetime) -> None:
    """Credit of the payment that was taken, or a part of it, comes again; the caller locks the payment, and asks once.

    Whatever takes back what is left of the payment later finds it: a refund, a dispute.
    """
    if amount > ZERO:
        grant_credits(
            organization_id=payment.organization_id,
            amount=amount,
            kind=LotKind.PURCHASED,
            reason=reason,
            actor=actor,
            at=at,
            key=f"{lot_key(payment)}:kept:{uuid7()}",
        )


def take_unspent(payment: Payment, reason: str, actor: str, at: datetime) -> Decimal:
    """Take back what is neither spent nor held of the credit that the payment bought, USD; the caller locks it."""
    mine = Q(key=lot_key(payment)) | Q(key__startswith=f"{lot_key(payment)}:kept")
    entries = LedgerEntry.objects.filter(mine, account_id=payment.organization_id)
    lots = [part["lot"] for entry in entries for part in entry.allocations if part["lot"]]
    taken = ZERO
    for lot in lots:
        try:
            posting = void_lot(
                organization_id=payment.organization_id, lot_id=UUID(lot), reason=reason, actor=actor, at=at
            )
        except (NothingLeft, UnknownLot):
            continue
        voided = LedgerEntry.objects.filter(account_id=payment.organization_id, id=cast(UUID, posting.entry_id))
        taken -= voided.get().amount
    return taken
