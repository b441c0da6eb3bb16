"""What an incoming event says, in our words."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from payments.models import Outcome, Payment
from payments.providers.port import Answer, MethodFacts


@dataclass(frozen=True, slots=True)
class PaymentReport:
    """What became of one of our payments: of one try to charge it (``attempt``), or on one page (``page``)."""

    payment_id: UUID
    answer: Answer
    attempt: int | None = None
    page: str = ""


@dataclass(frozen=True, slots=True)
class MethodReport:
    """A payment method was saved without a payment."""

    provider: str
    organization_id: UUID
    method: MethodFacts


@dataclass(frozen=True, slots=True)
class RefundReport:
    """Of the provider's payment ``reference``, ``amount`` USD are given back in all: what failed, for ``problem``, is
    not among it. ``known`` is what our books said before the provider was asked (refunded, refunds that failed).
    """

    provider: str
    reference: str
    refund_reference: str
    amount: Decimal
    known: tuple[Decimal, int]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CustomerRefundReport:
    """What became of a refund of an organization's own sale, which only ``billing`` knows."""

    refund_id: UUID
    answer: Answer


@dataclass(frozen=True, slots=True)
class DisputeReport:
    """The payer of the provider's payment ``reference`` disputes ``amount`` USD with the bank, or the bank decided."""

    provider: str
    reference: str
    dispute_reference: str
    amount: Decimal
    reason: str
    status: str  # open, won, lost


@dataclass(frozen=True, slots=True)
class OrderReport:
    """Money that a sender collected by itself: it settles ``payment_id``, or buys ``credits`` or a ``tier``.

    ``subscription`` is the sender's id of the subscription that the order is for, if it names one.
    """

    source: str
    reference: str
    organization_id: UUID
    amount: Decimal
    payment_id: UUID | None = None
    credits: Decimal | None = None
    tier: str = ""
    option: str | None = None
    subscription: str = ""
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionReport:
    """A subscription that is collected elsewhere began, goes on (``active``) or ends (``canceled``)."""

    source: str
    reference: str
    organization_id: UUID
    event: str
    tier: str
    said_at: datetime
    option: str | None = None
    ends_at: datetime | None = None


Report = (
    PaymentReport
    | MethodReport
    | RefundReport
    | CustomerRefundReport
    | DisputeReport
    | OrderReport
    | SubscriptionReport
)


@dataclass(frozen=True, slots=True)
class Overtaking:
    """What came before the news of its own payment, which it therefore brings along."""

    payment: PaymentReport
    then: RefundReport | DisputeReport


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a report."""

    outcome: Outcome
    note: str
    payment: Payment | None = None
    organization_id: UUID | None = field(default=None)
