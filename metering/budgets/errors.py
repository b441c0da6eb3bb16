"""What budgets refuse."""

from core.errors import DomainError, InvalidRequest, NotFound
from credits.errors import BudgetExceeded

__all__ = ["BudgetExceeded", "InvalidBudget", "PromptTooLong", "UnknownBudget"]


class PromptTooLong(DomainError):
    """The prompt is too long for a budget. Facts: ``budget``, ``name``, ``max_prompt_tokens``, ``prompt_tokens``."""

    code = "prompt_too_long"
    status = 400
    title = "The prompt is longer than a budget allows."


class InvalidBudget(InvalidRequest):
    """A budget that cannot be; ``errors`` names the fields."""

    code = "invalid_budget"
    title = "This is not a budget that can be kept."


class UnknownBudget(NotFound):
    """No such budget in this organization."""

    code = "unknown_budget"
    title = "No such budget."
