"""Budgets of the shown company: one that has room, one that is nearly used up, one that refuses."""

from datetime import datetime
from decimal import ROUND_UP, Decimal
from uuid import UUID

from metering.budgets.models import Budget
from metering.budgets.state import state_of
from metering.services import BudgetTerms, create_budget, update_budget

_ACTOR = "demo data"
# name, scope, subject, period, how much of it is used by now, refuses
_WANTED = (
    ("Everything", "organization", "", "monthly", "0.62", False),
    ("OpenAI models", "model", "openai/*", "monthly", "0.93", False),
    ("Each day", "organization", "", "daily", "0.35", True),
)
_STEP = Decimal(5)


def make_budgets(organization_id: UUID, *, at: datetime) -> list[Budget]:
    """Each is as large as what was used in its window so far makes it, in steps of five dollars."""
    return [_make(organization_id, *wanted, at=at) for wanted in _WANTED]


def _make(
    organization_id: UUID, name: str, scope: str, subject: str, period: str, used: str, blocks: bool, *, at: datetime
) -> Budget:
    terms = BudgetTerms(name=name, scope=scope, subject=subject, period=period, amount=Decimal(10_000))
    budget = create_budget(organization_id=organization_id, terms=terms, actor=_ACTOR, at=at)
    wanted = (state_of(budget, at).spent / Decimal(used) / _STEP).to_integral_value(ROUND_UP) * _STEP
    return update_budget(
        organization_id=organization_id,
        budget_id=budget.pk,
        actor=_ACTOR,
        at=at,
        amount=max(wanted, _STEP),
        enforcement="block" if blocks else "alert",
    )
