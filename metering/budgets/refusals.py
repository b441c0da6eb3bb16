"""Why a hold did not fit: which budget, how much of it is left and when it begins anew."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from core.money import ZERO, to_wire
from core.times import utc_text
from credits.models import SpendLimit
from metering.budgets.errors import BudgetExceeded, PromptTooLong
from metering.budgets.models import Budget
from metering.budgets.standing import StandingBudget
from metering.services.budgets import note_refusal


def budget_refusal(limit_ids: Sequence[UUID], required: Decimal, at: datetime) -> BudgetExceeded | None:
    """The refusal of a hold of ``required`` USD against these counters by a budget; tells of the first in each window.

    None when it was another limit, such as the key's own.
    """
    limits = list(SpendLimit.objects.filter(pk__in=limit_ids, is_hard=True))
    limits.sort(key=lambda each: (_room(each), each.pk))
    short = next((each for each in limits if _room(each) < required), None) or next(iter(limits), None)
    if short is None or short.budget_id is None:
        return None
    budget = Budget.objects.filter(pk=short.budget_id).first()
    if budget is None:
        return None
    note_refusal(limit_id=short.pk, at=at)
    return _refusal(budget, short, required)


def prompt_refusal(budget: StandingBudget, tokens: int) -> PromptTooLong:
    """The refusal of a prompt of so many tokens."""
    return PromptTooLong(
        f"The prompt has about {tokens} tokens; the budget {budget.name!r} allows {budget.max_prompt_tokens}.",
        budget=budget.id,
        name=budget.name,
        max_prompt_tokens=budget.max_prompt_tokens,
        prompt_tokens=tokens,
    )


def _refusal(budget: Budget, limit: SpendLimit, required: Decimal) -> BudgetExceeded:
    left = max(_room(limit), ZERO)
    resets = "" if limit.ends_at is None else f" It begins anew at {utc_text(limit.ends_at)}."
    return BudgetExceeded(
        f"This may cost up to {to_wire(required)} USD; {to_wire(left)} USD of the {budget.period} budget "
        f"{budget.name!r} is left.{resets}",
        budget=budget.pk,
        name=budget.name,
        scope=budget.scope,
        period=budget.period,
        required=required,
        remaining=left,
        resets_at=limit.ends_at,
    )


def _room(limit: SpendLimit) -> Decimal:
    return limit.ceiling + limit.excess - limit.spent - limit.held
