"""Every write to payments. Providers are called outside transactions; books move inside one."""

from payments.services.discounts import add_discount
from payments.services.incoming import process_due_events, process_incoming_event, receive_event, replay_event
from payments.services.methods import methods_of, open_saving, remove_method, save_method, set_default_method
from payments.services.provider_refunds import leave_paid
from payments.services.purchases import buy_credits
from payments.services.refunds import refund_payment
from payments.services.requests import PaymentRequest, request_payment, request_payments
from payments.services.settling import cancel_payment, fail_payment, mark_paid
from payments.services.submission import open_checkout, refresh_payment, submit_due, submit_payment
from payments.services.top_ups import evaluate_top_up, evaluate_top_ups, remove_auto_top_up, set_auto_top_up

__all__ = [
    "PaymentRequest",
    "add_discount",
    "buy_credits",
    "cancel_payment",
    "evaluate_top_up",
    "evaluate_top_ups",
    "fail_payment",
    "leave_paid",
    "mark_paid",
    "methods_of",
    "open_checkout",
    "open_saving",
    "process_due_events",
    "process_incoming_event",
    "receive_event",
    "refresh_payment",
    "refund_payment",
    "remove_auto_top_up",
    "remove_method",
    "replay_event",
    "request_payment",
    "request_payments",
    "save_method",
    "set_auto_top_up",
    "set_default_method",
    "submit_due",
    "submit_payment",
]
