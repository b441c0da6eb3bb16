"""Every write of the advice."""

from advice.services.recommendations import (
    apply_recommendation,
    dismiss_recommendation,
    reopen_recommendation,
    review_due,
    review_usage,
    withdraw_recommendation,
)
from advice.services.what_if import forget_what_ifs, start_what_if, work_off_what_ifs
from advice.services.written import ask_for_advice, write_advice

__all__ = [
    "apply_recommendation",
    "ask_for_advice",
    "dismiss_recommendation",
    "forget_what_ifs",
    "reopen_recommendation",
    "review_due",
    "review_usage",
    "start_what_if",
    "withdraw_recommendation",
    "work_off_what_ifs",
    "write_advice",
]
