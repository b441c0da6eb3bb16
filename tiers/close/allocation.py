"""The credit of the period that begins."""

from datetime import datetime
from typing import Any

from credits.models import LotKind
from credits.services import grant_item
from tiers.close.rollover import ACTOR
from tiers.models import Subscription


def allocation_item(subscription: Subscription, at: datetime) -> dict[str, Any] | None:
    """What the ledger is to grant for the subscription's present period; None when its tier gives nothing.

    The same movement, under the same key, as ``tiers.services.allocate_period`` posts one at a time.
    """
    if not subscription.monthly_credit or subscription.period_index < 0:
        return None
    return grant_item(
        organization_id=subscription.organization_id,
        amount=subscription.monthly_credit,
        kind=LotKind.ALLOCATED,
        reason=f"Monthly credit of {subscription.tier.name}",
        actor=ACTOR,
        at=at,
        key=f"allocation:{subscription.id}:{subscription.period_index}",
        effective_at=subscription.period_starts_at,
        expires_at=subscription.period_ends_at if subscription.tier.credit_expires else None,
        counts_from=subscription.period_starts_at,
    )
