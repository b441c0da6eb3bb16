"""Refusals of payments."""

from core.errors import DomainError, InvalidRequest, KeyReused, NotFound, Unavailable

__all__ = ["KeyReused"]


class UnknownPayment(NotFound):
    """No such payment in this organization."""

    code = "unknown_payment"
    title = "No such payment."


class UnknownPaymentMethod(NotFound):
    """No such saved payment method in this organization."""

    code = "unknown_payment_method"
    title = "No such payment method."


class PaymentNotOpen(DomainError):
    """The payment has ended, or is with the provider at this moment. Fact: ``payment_status``."""

    code = "payment_not_open"
    status = 409
    title = "The payment is not open any more."


class PaymentNotRefundable(DomainError):
    """Only a payment that succeeded, with money in it, can be refunded; once."""

    code = "payment_not_refundable"
    status = 409
    title = "This payment cannot be refunded."


class RefundsOvertaken(Unavailable):
    """More has become known of a payment's refunds since the provider was asked; it is to be asked again."""

    code = "refunds_overtaken"


class RefundTooLarge(DomainError):
    """More than was paid. Fact: ``refundable`` (USD)."""

    code = "refund_too_large"
    status = 409
    title = "The refund is more than was paid."


class InvalidPaymentAmount(InvalidRequest):
    """An amount that cannot be asked for."""

    code = "invalid_payment_amount"
    title = "This amount cannot be paid."


class NoPaymentMethod(DomainError):
    """An automatic payment needs a saved payment method."""

    code = "no_payment_method"
    status = 409
    title = "Save a payment method first."


class NoAutoTopUp(NotFound):
    """The organization has no rule."""

    code = "no_auto_top_up"
    title = "There is no automatic top-up."


class SavingNotOffered(DomainError):
    """The payment provider cannot keep cards without a payment."""

    code = "saving_not_offered"
    status = 409
    title = "Payment methods cannot be saved here."


class ProviderUnavailable(Unavailable):
    """The payment provider did not answer; nothing of ours has changed."""

    code = "payment_provider_unavailable"
    title = "The payment provider does not answer at the moment."


class ProviderRefused(DomainError):
    """The payment provider refused the request for a reason that trying again will not change."""

    code = "payment_provider_refused"
    status = 502
    title = "The payment provider refused the request."


class UnknownSource(NotFound):
    """No webhook sender of that name is configured."""

    code = "unknown_webhook_source"
    title = "No such webhook source."


class InvalidSignature(DomainError):
    """The message is not signed by the sender, or its signature is too old. Nothing was stored."""

    code = "invalid_webhook_signature"
    status = 401
    title = "The signature does not fit."


class UnreadableEvent(DomainError):
    """Signed, but not an event of the agreed shape."""

    code = "unreadable_webhook"
    status = 400
    title = "The event cannot be read."


class EventBodyChanged(DomainError):
    """The id of a known event came with another body. The first one stands; nothing moved."""

    code = "webhook_body_changed"
    status = 409
    title = "This event id was received before with a different body."


class OrderBookedElsewhere(DomainError):
    """The sender's order was booked for another organization before."""

    code = "order_booked_elsewhere"
    status = 409
    title = "This order belongs to another organization."


class EventForgotten(DomainError):
    """The event's payload was removed by age."""

    code = "webhook_forgotten"
    status = 409
    title = "The event's content is no longer kept."
