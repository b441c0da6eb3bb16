"""The windows of budgets held against the events: what is kept is what counting says."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from credits.audit import Discrepancy
from credits.models import SpendLimit
from metering.budgets.models import Budget
from metering.budgets.usage import cost_of, events_in_scope

SPENT = "budget spent = sum of its events"
HELD = "budget held = open holds"

_SETTLED = """
SELECT coalesce(sum(h.settled_amount) FILTER (WHERE h.status = 'settled' AND NOT EXISTS (
           SELECT 1 FROM metering_usageevent e WHERE e.organization_id = h.account_id AND e.hold_id = h.id)), 0),
       coalesce(sum(h.limit_amount) FILTER (WHERE h.status = 'open'), 0)
FROM credits_hold h WHERE h.account_id = %s AND %s = ANY (h.limit_ids)
"""


def audit_budgets(organization_id: UUID | None = None) -> Iterator[Discrepancy]:
    """Every window that does not say what its events and holds say, counted one by one. For quiet books: what moves
    meanwhile can show as a difference."""
    budgets = (
        Budget.objects.all() if organization_id is None else Budget.objects.filter(organization_id=organization_id)
    )
    for budget in budgets.order_by("organization_id", "id").iterator():
        for limit in SpendLimit.objects.filter(budget_id=budget.pk).order_by("starts_at"):
            yield from _audit(budget, limit)


def _audit(budget: Budget, limit: SpendLimit) -> Iterator[Discrepancy]:
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, [budget.organization_id, limit.pk])
        settled, held = cursor.fetchone()
    spent = settled + _events(budget, limit.starts_at, limit.ends_at)
    subject = f"{budget.name} ({budget.pk}) from {limit.starts_at:%Y-%m-%d %H:%M}"
    for rule, kept, counted in ((SPENT, limit.spent, spent), (HELD, limit.held, held)):
        if kept != counted:
            yield Discrepancy(rule, budget.organization_id, subject, kept, counted)


def _events(budget: Budget, starts_at: datetime | None, ends_at: datetime | None) -> Decimal:
    events = events_in_scope(budget).filter(occurred_at__gte=starts_at)
    return cost_of(budget.organization_id, events if ends_at is None else events.filter(occurred_at__lt=ends_at))
