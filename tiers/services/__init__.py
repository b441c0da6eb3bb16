"""Every write of tiers and subscriptions."""

from tiers.services.allocation import allocate_credit, allocate_period
from tiers.services.catalogue import create_tier, new_version, withdraw_version
from tiers.services.lending import extend_free, grant_tier
from tiers.services.moving import Move, move_to_newest, preview_move
from tiers.services.paying import begin_period, collect_now
from tiers.services.rows import open_subscription
from tiers.services.subscriptions import (
    cancel_subscription,
    grant_welcome_credit,
    had_trial,
    reactivate_subscription,
    set_collection,
    settle_in,
    start_trial,
    subscribe,
)
from tiers.services.switching import SwitchOutcome, preview_switch, switch_tier
from tiers.services.turning import fall_to_default, mark_paid, mark_past_due, open_next_period

__all__ = [
    "Move",
    "SwitchOutcome",
    "allocate_credit",
    "allocate_period",
    "begin_period",
    "cancel_subscription",
    "collect_now",
    "create_tier",
    "extend_free",
    "fall_to_default",
    "grant_tier",
    "grant_welcome_credit",
    "had_trial",
    "mark_paid",
    "mark_past_due",
    "move_to_newest",
    "new_version",
    "open_next_period",
    "open_subscription",
    "preview_move",
    "preview_switch",
    "reactivate_subscription",
    "set_collection",
    "settle_in",
    "start_trial",
    "subscribe",
    "switch_tier",
    "withdraw_version",
]
