"""What the apps further left ask of budgets."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.principal import Principal
from credits.ceilings import Purpose
from metering.budgets.standing import Spending, limits_for, standing_budgets
from metering.price_book import card_for


def spending_of(principal: Principal, models: frozenset[str], tags: dict[str, str]) -> Spending:
    """The caller's call of these models."""
    return Spending(
        api_key_id=principal.api_key_id,
        key_line_id=principal.key_line_id,
        member_id=principal.member_id,
        team_id=principal.team_id,
        department_id=principal.department_id,
        models=models,
        tags=tags,
    )


def limits_of_hold(principal: Principal, purpose: Purpose, at: datetime) -> Sequence[UUID]:
    """The windows of all budgets that a hold of the caller's counts for, those that only tell included: a hold may end
    without an event."""
    budgets = standing_budgets(principal.organization_id, at)
    if not budgets:
        return ()
    price = card_for(purpose.model, at) if purpose.model else None
    names = {purpose.model} if price is None else {purpose.model, price.model.id}
    return limits_for(budgets, spending_of(principal, frozenset(names), dict(purpose.tags)))
