"""What budgets would have left after a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.principal import Principal
from credits.models import SpendLimit
from metering.budgets.hooks import spending_of
from metering.budgets.models import Budget
from metering.budgets.standing import standing_budgets


@dataclass(frozen=True, slots=True)
class BudgetRoom:
    """A budget that a call would count for, USD. ``remaining`` is below zero when it is exceeded already."""

    id: UUID
    name: str
    scope: str
    period: str
    blocks: bool
    amount: Decimal
    remaining: Decimal
    after_likely: Decimal
    after_worst: Decimal
    resets_at: datetime | None

    @property
    def covers_worst_case(self) -> bool:
        """Whether the most that the call may cost fits."""
        return self.after_worst >= 0


def rooms_after(
    principal: Principal,
    data: Mapping[str, Any],
    models: frozenset[str],
    *,
    likely: Decimal,
    worst: Decimal,
    at: datetime,
) -> list[BudgetRoom]:
    """The budgets that a request by the caller would count for, tightest first."""
    metadata = data.get("metadata")
    tags = (
        {name: value for name, value in metadata.items() if isinstance(value, str)}
        if isinstance(metadata, dict)
        else {}
    )
    spending = spending_of(principal, models, tags)
    standing = {
        each.id: each.limit_id
        for each in standing_budgets(principal.organization_id, at)
        if each.limit_id is not None and each.covers(spending)
    }
    limits = SpendLimit.objects.in_bulk(list(standing.values())) if standing else {}
    budgets = Budget.objects.filter(pk__in=standing).order_by("id") if standing else ()
    rooms = [
        _room(budget, limits[standing[budget.pk]], likely, worst) for budget in budgets if standing[budget.pk] in limits
    ]
    return sorted(rooms, key=lambda room: room.after_worst)


def _room(budget: Budget, limit: SpendLimit, likely: Decimal, worst: Decimal) -> BudgetRoom:
    remaining = limit.ceiling - limit.spent - limit.held
    return BudgetRoom(
        id=budget.pk,
        name=budget.name,
        scope=budget.scope,
        period=budget.period,
        blocks=budget.blocks,
        amount=limit.ceiling,
        remaining=remaining,
        after_likely=remaining - likely,
        after_worst=remaining - worst,
        resets_at=limit.ends_at,
    )
