"""Who acts when a payment ends: apps to the right register here while they start, in ``<app>/handlers.py``.

A handler runs in the transaction that ends the payment, exactly once per ending, and undoes it by raising::

    @on_settled("subscription", "switch")
    def paid(payment: Payment, *, at: datetime) -> None: ...

``payment.status`` says how it ended: succeeded, failed (for good), canceled or refunded. ``on_declined`` handlers
hear of an automatic try that failed while another one is to come (``payment.retry_at``). A payment of amount 0 succeeds
inside ``request_payment``, so its handlers have run when that returns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from payments.models import Payment
from payments.providers.port import Answer

H = TypeVar("H")


class PaymentHandler(Protocol):
    """Called as ``handler(payment, at=at)``."""

    def __call__(self, payment: Payment, *, at: datetime) -> None:
        """React to the payment's new status."""


Locker = Callable[[UUID], None]


@dataclass(frozen=True, slots=True)
class ExternalSubscription:
    """A subscription that is sold and collected elsewhere, as its sender reports it.

    ``event``: ``active`` (also for a paid period) or ``canceled``; then ``ends_at`` is the end of what has been paid
    (None: at once). ``reference`` is the sender's own id of the subscription, empty for an order that names none.
    ``said_at`` orders what is said of one subscription, whatever the order in which it arrives.
    """

    organization_id: UUID
    event: str
    tier: str
    option: str | None
    source: str
    reference: str
    ends_at: datetime | None
    said_at: datetime


class SubscriptionHandler(Protocol):
    """Called as ``handler(subscription, at=at)``."""

    def __call__(self, subscription: ExternalSubscription, /, *, at: datetime) -> str:
        """Follow what the sender says; what became of it in words."""


_settled: dict[str, list[PaymentHandler]] = {}
_declined: dict[str, list[PaymentHandler]] = {}
_lockers: dict[str, list[Locker]] = {}


class RefundHandler(Protocol):
    """Called as ``handler(refund_id, answer, at=at)``."""

    def __call__(self, refund_id: UUID, answer: Answer, /, *, at: datetime) -> str:
        """Book what became of a refund that the provider calls ours; in words, empty for one that is not."""


_subscriptions: list[SubscriptionHandler] = []
_customer_refunds: list[RefundHandler] = []


def on_settled(*purposes: str) -> Callable[[PaymentHandler], PaymentHandler]:
    """Register the decorated function for the end of payments with these purposes."""
    return _registering(_settled, purposes)


def on_declined(*purposes: str) -> Callable[[PaymentHandler], PaymentHandler]:
    """Register the decorated function for a failed try that will be repeated."""
    return _registering(_declined, purposes)


def locks_first(*purposes: str) -> Callable[[Locker], Locker]:
    """Register what locks a handler's own rows, called with the organization's id before the payment is locked.

    Whoever locks a subscription first and a payment second, and is also told of payments, needs it against deadlocks.
    """
    return _registering(_lockers, purposes)


def on_subscription(handler: SubscriptionHandler) -> SubscriptionHandler:
    """Register the decorated function for subscriptions that are collected elsewhere."""
    _subscriptions.append(handler)
    return handler


def on_customer_refund(handler: RefundHandler) -> RefundHandler:
    """Register the decorated function for refunds of organizations' own sales."""
    _customer_refunds.append(handler)
    return handler


def lock_first(purpose: str, organization_id: UUID) -> None:
    """Let the handlers of ``purpose`` lock their rows."""
    for locker in _lockers.get(purpose, []):
        locker(organization_id)


def tell_settled(payment: Payment, *, at: datetime) -> None:
    """Tell everybody concerned that the payment has ended."""
    for handler in _settled.get(payment.purpose, []):
        handler(payment, at=at)


def tell_declined(payment: Payment, *, at: datetime) -> None:
    """Tell everybody concerned that a try failed."""
    for handler in _declined.get(payment.purpose, []):
        handler(payment, at=at)


def tell_subscription(subscription: ExternalSubscription, *, at: datetime) -> str:
    """Tell everybody concerned of an external subscription; what they made of it, empty when nobody is."""
    return " ".join([handler(subscription, at=at) for handler in _subscriptions])


def tell_customer_refund(refund_id: UUID, answer: Answer, *, at: datetime) -> str:
    """Tell whoever sells for organizations what became of a refund; what they made of it, empty when nothing."""
    return " ".join(filter(None, [handler(refund_id, answer, at=at) for handler in _customer_refunds]))


def _registering(table: dict[str, list[H]], purposes: tuple[str, ...]) -> Callable[[H], H]:
    def register(handler: H) -> H:
        for purpose in purposes:
            table.setdefault(purpose, []).append(handler)
        return handler

    return register
