"""Budgets of the demo companies: some have room, some are nearly used up, some refuse."""

from datetime import datetime
from decimal import ROUND_UP, Decimal

from accounts.models import Organization
from metering.budgets.models import Budget
from metering.budgets.state import state_of
from metering.services import BudgetTerms, create_budget, update_budget

_ACTOR = "demo data"
# name, scope, subject, period, how much of it is used by now, refuses
_WANTED = {
    "Northwind Research": (
        ("Everything", "organization", "", "monthly", "0.62", False),
        ("OpenAI models", "model", "openai/*", "monthly", "0.93", False),
        ("Each day", "organization", "", "daily", "0.35", True),
    ),
    "Kestrel Audio": (
        ("The studio", "team", "Studio", "monthly", "0.78", True),
        ("Audiobooks", "tag", "feature=audiobook", "weekly", "0.55", False),
    ),
    "Paper Lantern": (
        ("Marketing", "team", "Marketing", "monthly", "0.95", False),
        ("Vera", "member", "vera@lantern.example", "daily", "0.5", True),
        ("June", "member", "june@lantern.example", "monthly", "1.08", True),
        ("Campaigns", "tag", "feature=campaigns", "monthly", "0.4", False),
    ),
}
_STEP = Decimal("0.25")


def make_budgets(*, at: datetime) -> list[Budget]:
    """Each is as large as what was used in its window so far makes it, in steps of a quarter of a dollar."""
    companies = Organization.objects.live().filter(name__in=_WANTED).order_by("created_at")
    return [_make(company, *wanted, at=at) for company in companies for wanted in _WANTED[company.name]]


def _subject(company: Organization, scope: str, name: str) -> str:
    """As the API names it: teams and members by id."""
    if scope == "team":
        return str(company.teams.get(name=name).pk)
    return str(company.memberships.get(user__email=name).pk) if scope == "member" else name


def _make(
    company: Organization, name: str, scope: str, subject: str, period: str, used: str, blocks: bool, *, at: datetime
) -> Budget:
    whose = _subject(company, scope, subject)
    terms = BudgetTerms(name=name, scope=scope, subject=whose, period=period, amount=Decimal(10_000))
    budget = create_budget(organization_id=company.pk, terms=terms, actor=_ACTOR, at=at)
    wanted = (state_of(budget, at).spent / Decimal(used) / _STEP).to_integral_value(ROUND_UP) * _STEP
    return update_budget(
        organization_id=company.pk,
        budget_id=budget.pk,
        actor=_ACTOR,
        at=at,
        amount=max(wanted, _STEP),
        enforcement="block" if blocks else "alert",
    )
