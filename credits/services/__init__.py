"""Every write to the books. Money moves in ``credits/sql`` alone; these functions are its only callers."""

from credits.services.accounts import (
    open_account,
    set_low_balance_alert,
    set_overage_limit,
)
from credits.services.expiry import expire_holds, expire_lots
from credits.services.holds import (
    HoldOutcome,
    HoldRequest,
    SettleOutcome,
    SettleRequest,
    hold_outcomes,
    note_hold_progress,
    place_hold,
    place_holds,
    place_holds_query,
    release_hold,
    release_holds,
    settle_hold,
    settle_holds,
)
from credits.services.limits import remove_spend_limit, set_spend_limit
from credits.services.postings import (
    Posting,
    adjust_balance,
    deduct_credits,
    grant_credits,
    grant_item,
    post_batch,
    post_grants,
    refund_charge,
    reverse_entry,
    void_lot,
)

__all__ = [
    "HoldOutcome",
    "HoldRequest",
    "Posting",
    "SettleOutcome",
    "SettleRequest",
    "adjust_balance",
    "deduct_credits",
    "expire_holds",
    "expire_lots",
    "grant_credits",
    "grant_item",
    "hold_outcomes",
    "note_hold_progress",
    "open_account",
    "place_hold",
    "place_holds",
    "place_holds_query",
    "post_batch",
    "post_grants",
    "refund_charge",
    "release_hold",
    "release_holds",
    "remove_spend_limit",
    "reverse_entry",
    "set_low_balance_alert",
    "set_overage_limit",
    "set_spend_limit",
    "settle_hold",
    "settle_holds",
    "void_lot",
]
