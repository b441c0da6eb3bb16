"""Refusals of the ledger."""

from core.errors import DomainError, KeyReused, NotFound

__all__ = [
    "BudgetExceeded",
    "ExceedsCharge",
    "HoldAmountDiffers",
    "HoldNotOpen",
    "InsufficientCredits",
    "KeyReused",
    "NotRefundable",
    "NothingLeft",
    "SpendLimitReached",
    "UnknownAccount",
    "UnknownEntry",
    "UnknownHold",
    "UnknownLot",
]


class InsufficientCredits(DomainError):
    """The wallet cannot cover the amount; nothing moved. Facts: ``required``, ``available`` (USD)."""

    code = "insufficient_credits"
    status = 402
    title = "Not enough credits."


class SpendLimitReached(DomainError):
    """A spend limit below the wallet (the API key's own) cannot cover the amount."""

    code = "spend_limit_reached"
    status = 402
    title = "The spend limit of this API key is reached."


class BudgetExceeded(DomainError):
    """A blocking budget has no room for the most that a call may cost; nothing moved.

    Facts: ``budget`` (its id), ``name``, ``scope``, ``period``, ``required``, ``remaining`` (USD),
    ``resets_at`` (null: never).
    """

    code = "budget_exceeded"
    status = 402
    title = "A budget has no room for this."


class UnknownAccount(NotFound):
    """The organization has no wallet."""

    code = "unknown_account"
    title = "No such credit account."


class UnknownEntry(NotFound):
    """No such ledger entry in this organization."""

    code = "unknown_entry"
    title = "No such ledger entry."


class UnknownHold(NotFound):
    """No such hold in this organization."""

    code = "unknown_hold"
    title = "No such hold."


class UnknownLot(NotFound):
    """No such lot in this organization."""

    code = "unknown_lot"
    title = "No such lot."


class HoldNotOpen(DomainError):
    """The hold was released, settled or has expired."""

    code = "hold_not_open"
    status = 409
    title = "The hold has already ended."


class HoldAmountDiffers(DomainError):
    """The hold was settled before, to another amount."""

    code = "hold_amount_differs"
    status = 409
    title = "The hold was already settled to a different amount."


class NotRefundable(DomainError):
    """Only money that was taken can be given back."""

    code = "not_refundable"
    status = 409
    title = "This entry cannot be refunded."


class ExceedsCharge(DomainError):
    """More than was charged, or than is left after earlier refunds."""

    code = "exceeds_charge"
    status = 409
    title = "The refund is more than what is left of the charge."


class NothingLeft(DomainError):
    """The lot is spent, held or expired."""

    code = "nothing_left"
    status = 409
    title = "Nothing is left of this lot."


class BatchNotReady(DomainError):
    """The file of movements is not where this can be done with it."""

    code = "batch_not_ready"
    status = 409
    title = "This cannot be done with the file now."
