"""What billing refuses."""

from collections.abc import Sequence
from typing import Any

from core.errors import DomainError, NotFound

__all__ = [
    "AlreadyCanceledSubscription",
    "CheckoutExpired",
    "CheckoutNotOpen",
    "CustomerPaymentDeclined",
    "InvalidValue",
    "NotFound",
    "RefundedAlready",
    "SubscriptionEnded",
]


class InvalidValue(DomainError):
    """A field does not fit. ``loc`` leads to it in what was sent; ``kind`` is a short name of what is wrong."""

    code = "invalid_value"
    status = 422
    title = "A value does not fit."

    def __init__(
        self, loc: Sequence[str | int] = (), message: str = "", *, kind: str = "value_error", value: Any = None
    ) -> None:
        self.loc = tuple(loc)
        self.message = message
        self.kind = kind
        self.value = value
        super().__init__(message, field=".".join(map(str, loc)))


class CheckoutNotOpen(DomainError):
    """The checkout was confirmed before."""

    code = "checkout_not_open"
    status = 403
    title = "This checkout is not open any more."


class CheckoutExpired(DomainError):
    """The checkout was left for too long."""

    code = "checkout_expired"
    status = 410
    title = "This checkout has expired."


class CustomerPaymentDeclined(DomainError):
    """The customer's payment was declined; nothing was sold."""

    code = "customer_payment_declined"
    status = 400
    title = "The payment was declined."


class RefundedAlready(DomainError):
    """All that was paid for the order has been given back, or is about to be."""

    code = "order_refunded_already"
    status = 403
    title = "This order has been refunded already."


class AlreadyCanceledSubscription(DomainError):
    """The subscription is over, or asked to end already."""

    code = "already_canceled_subscription"
    status = 403
    title = "This subscription is already canceled."


class SubscriptionEnded(DomainError):
    """The subscription is over and cannot be changed."""

    code = "customer_subscription_ended"
    status = 403
    title = "This subscription has ended."
