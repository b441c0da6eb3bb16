"""The port: what a payment provider can be asked, in our words. Calls are made outside transactions."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from payments.models import Payment, PaymentMethod


class Verdict(StrEnum):
    """What became of a charge or a checkout."""

    PAID = "paid"
    DECLINED = "declined"
    PENDING = "pending"  # the provider says the outcome later
    CLOSED = "closed"  # a checkout that can no longer be paid
    UNKNOWN = "unknown"  # the provider knows of nothing


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """A payment method that the provider keeps."""

    reference: str
    customer: str
    label: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's word on one payment. ``amount``: USD that was paid; ``reference``: the provider's own payment."""

    verdict: Verdict
    reference: str = ""
    amount: Decimal | None = None
    code: str = ""
    message: str = ""
    method: MethodFacts | None = None


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page on which somebody pays."""

    reference: str
    url: str


class Provider(Protocol):
    """One adapter. Raises ProviderUnavailable when nothing is known, ProviderRefused when asking again is no use."""

    name: str
    smallest: Decimal  # USD; less cannot be charged

    def open_checkout(self, payment: Payment, *, customer: str) -> Checkout:
        """A page for this payment; asking again for the same payment gives an open page."""

    def close_checkout(self, payment: Payment) -> None:
        """Let nobody pay on the page any more."""

    def charge(self, payment: Payment, method: PaymentMethod) -> Answer:
        """Charge a saved method. The payment and its try make the call idempotent."""

    def look_up(self, payment: Payment) -> Answer:
        """What became of the present try to charge a saved method, also when we never heard."""

    def look_up_page(self, payment: Payment) -> Answer:
        """What became of the payment's page, also when we never heard."""

    def refund(self, payment: Payment) -> Answer:
        """Give ``payment.refunded`` back, once however often and late this is asked.

        PAID when it is given, PENDING while it is under way.
        """

    def open_saving(self, organization_id: UUID, *, customer: str) -> str:
        """Address of a page on which a payment method is saved without a payment. Raises SavingNotOffered."""


def charge_key(payment: Payment) -> str:
    """The idempotency key of the payment's present try."""
    return f"payment:{payment.id}:{payment.attempts}"


def refund_key(payment: Payment) -> str:
    """The idempotency key of the payment's refund; of another one after each that failed."""
    return f"refund:{payment.id}" + (f":{payment.failed_refunds}" if payment.failed_refunds else "")
