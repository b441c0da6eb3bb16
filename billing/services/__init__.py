"""Every write of billing."""

from billing.services.benefits import create_benefit, delete_benefit, update_benefit
from billing.services.changing import (
    cancel_subscription,
    move_period_end,
    revoke_subscription,
    uncancel_subscription,
)
from billing.services.charging import charge_due
from billing.services.checkouts import confirm_checkout, expire_checkouts, open_checkout, update_checkout
from billing.services.customers import create_customer, delete_customer, update_customer
from billing.services.labels import label_events
from billing.services.products import PriceTerms, attach_benefits, create_product, update_product
from billing.services.refunds import refund_due, refund_order
from billing.services.renewal import renew_before_reading, renew_customer, renew_due
from billing.services.sessions import begin_session, end_session, end_sessions_of, forget_sessions
from billing.services.states import credit_meter, note_usage, set_balance_convention, tell_states
from billing.services.subscribing import create_subscription

__all__ = [
    "PriceTerms",
    "attach_benefits",
    "begin_session",
    "cancel_subscription",
    "charge_due",
    "confirm_checkout",
    "create_benefit",
    "create_customer",
    "create_product",
    "create_subscription",
    "credit_meter",
    "delete_benefit",
    "delete_customer",
    "end_session",
    "end_sessions_of",
    "expire_checkouts",
    "forget_sessions",
    "label_events",
    "move_period_end",
    "note_usage",
    "open_checkout",
    "refund_due",
    "refund_order",
    "renew_before_reading",
    "renew_customer",
    "renew_due",
    "revoke_subscription",
    "set_balance_convention",
    "tell_states",
    "uncancel_subscription",
    "update_benefit",
    "update_checkout",
    "update_customer",
    "update_product",
]
