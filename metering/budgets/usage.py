"""The usage that a budget counts, read from the sums where they know the scope, else from the events."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from accounts.models import ApiKey, Team
from core.money import ZERO
from core.sqlcalls import Query, run
from metering.budgets.models import Budget, Scope
from metering.metered.models import MeteredCharge
from metering.models import UsageEvent

# What live events in scope cost between instants that follow each other; whole hours come from the hourly sums.
_BETWEEN = """
SELECT metering_budget_events(b, edge.starts, edge.ends)
FROM metering_budget b, unnest($2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS edge (starts, ends, place)
WHERE b.id = ANY ($1::uuid[]) ORDER BY edge.place
"""


def spent_between(budget_id: UUID, instants: Sequence[datetime]) -> list[Decimal]:
    """What the events in scope cost, USD, in each stretch between one instant and the next."""
    if len(instants) < 2:
        return []
    rows = run(Query(_BETWEEN, ([budget_id], [*map(str, instants[:-1])], [*map(str, instants[1:])])))
    return [row[0] for row in rows]


def events_in_scope(budget: Budget) -> QuerySet[UsageEvent]:
    """The live events that count for the budget, whenever they happened, newest first."""
    events = UsageEvent.objects.filter(organization_id=budget.organization_id, voided_at=None)
    return events.filter(_in_scope(budget)).order_by("-occurred_at", "-id")


def cost_of(organization_id: UUID, events: QuerySet[UsageEvent]) -> Decimal:
    """What they count for: charges, the bills of own providers, and what they added to the meters of the tier."""
    found: Decimal | None = events.order_by().aggregate(cost=Sum(F("charge") + F("byok_cost")))["cost"]
    return (found or ZERO) + _metered(organization_id, events)


def _metered(organization_id: UUID, events: QuerySet[UsageEvent]) -> Decimal:
    steps = MeteredCharge.objects.filter(
        organization_id=organization_id, event_id__in=events.order_by().values("id"), cause="use"
    )
    sums = steps.values("event_id").order_by().annotate(added=Sum("amount"))
    return sum((max(row["added"], ZERO) for row in sums), ZERO)


def _in_scope(budget: Budget) -> Q:
    match budget.scope:
        case Scope.ORGANIZATION:
            return Q()
        case Scope.TEAM:
            teams = Team.objects.filter(Q(pk=budget.subject_id) | Q(department_id=budget.subject_id))
            return Q(team_id__in=list(teams.values_list("id", flat=True)) or [budget.subject_id])
        case Scope.MEMBER:
            return Q(member_id=budget.subject_id)
        case Scope.API_KEY:
            keys = ApiKey.objects.filter(
                organization_id=budget.organization_id, spend_limit_id__in=[budget.subject_id]
            ).values_list("id", flat=True)
            return Q(api_key_id__in=[*keys, budget.subject_id])
        case Scope.MODEL if budget.subject.endswith("/*"):
            return Q(model__startswith=budget.subject[:-1])
        case Scope.MODEL:
            return Q(model=budget.subject)
        case _:
            wanted: dict[str, Any] = {budget.tag_key: budget.subject}
            return Q(tags__contains=wanted)
