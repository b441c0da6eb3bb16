"""Buying credit: 1 USD buys 1.00 of credit."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from core.ids import uuid7
from core.money import to_wire
from payments.errors import InvalidPaymentAmount
from payments.models import Collection, Payment, Purpose
from payments.money import CENT
from payments.services.requests import request_payment
from payments.services.submission import open_checkout

SMALLEST = Decimal(1)
LARGEST = Decimal(100_000)


def buy_credits(
    *, organization_id: UUID, credits: Decimal, actor: str, at: datetime, key: str | None = None
) -> Payment:
    """A payment for ``credits`` USD of credit with a page to pay it on; call it outside transactions.

    Nothing left to pay, by discount: the credit is there already. Replaying ``key`` returns the first payment.
    Raises InvalidPaymentAmount, KeyReused, ProviderUnavailable, ProviderRefused.
    """
    if not SMALLEST <= credits <= LARGEST or credits != credits.quantize(CENT):
        raise InvalidPaymentAmount(
            f"Buy between {to_wire(SMALLEST)} and {to_wire(LARGEST)} USD of credit, in whole cents.",
            smallest=SMALLEST,
            largest=LARGEST,
        )
    payment = request_payment(
        organization_id=organization_id,
        purpose=Purpose.CREDITS,
        amount=credits,
        credits=credits,
        key=f"buy:{key or uuid7()}",
        collection=Collection.CHECKOUT,
        actor=actor,
        at=at,
    )
    return open_checkout(payment_id=payment.id, at=at) if payment.status == "open" else payment
