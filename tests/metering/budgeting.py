"""Budgets of tests: made, used, held against, and what they tell."""

from datetime import timedelta

from accounts.principal import Principal
from credits import services as credit
from credits.ceilings import Purpose
from credits.models import SpendLimit
from metering.budgets.hooks import limits_of_hold
from metering.services import (
    BudgetTerms,
    create_budget,
    record_usage,
)
from outbox.models import DomainEvent
from tests.builders import NOON, make_record, usd

END = NOON + timedelta(days=400)


def make_budget(organization, amount="10", *, at=NOON, **fields):
    terms = BudgetTerms(**{"name": "Budget", "period": "monthly", "amount": usd(amount), **fields})
    return create_budget(organization_id=organization.pk, terms=terms, actor="test", at=at)


def window(budget, at=NOON):
    rows = SpendLimit.objects.filter(budget_id=budget.pk, starts_at__lte=at).order_by("-starts_at")
    return next(row for row in rows if row.ends_at is None or at < row.ends_at)


def use(organization, charge="1", *, at=NOON, **fields):
    [outcome] = record_usage([make_record(organization, charge, occurred_at=at, **fields)], at=at)
    assert outcome.status == "recorded"
    return outcome


def hold(organization, amount, key, *, at=NOON, principal=None, model="", tags=None):
    principal = principal or Principal(organization.pk, "live", frozenset(), "test")
    limits = limits_of_hold(principal, Purpose(model, tags or {}), at)
    request = credit.HoldRequest(organization.pk, usd(amount), key, at + timedelta(hours=1), limit_ids=limits)
    return credit.place_hold(request, at=at)


def told(budget, type_="budget.threshold_reached"):
    events = DomainEvent.objects.filter(type=type_, data__budget_id=str(budget.pk))
    return [event.data for event in sorted(events, key=lambda e: (e.created_at, usd(e.data.get("threshold", "0"))))]
