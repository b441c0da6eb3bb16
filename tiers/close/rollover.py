"""How much of what expires is kept."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from core.money import EXACT, ZERO, quantize
from core.periods import boundary
from credits.models import LotKind
from credits.services import grant_item
from tiers.close.models import PeriodClose
from tiers.models import Subscription, Tier

ACTOR = "period close"


def rolled_over(expired: Decimal, percent: Decimal, cap: Decimal | None) -> Decimal:
    """``percent`` of ``expired`` USD, at most ``cap``, rounded once, half to even, at 12 places."""
    kept = quantize(EXACT.divide(EXACT.multiply(expired, percent), Decimal(100)))
    return kept if cap is None else min(kept, cap)


@dataclass(slots=True, frozen=True)
class Rule:
    """What a period that ends keeps: the rule of the tier that its credit came with."""

    tier: Tier
    percent: Decimal
    until: datetime  # when the credit that is kept ends

    def kept(self, expired: Decimal) -> Decimal:
        """USD that rolls over."""
        return rolled_over(expired, self.percent, self.tier.rollover_cap)


def rule_of(subscription: Subscription, index: int, *, ends: bool) -> Rule:
    """The rule for the end of period ``index``. Nothing is kept of a trial, or when the subscription ``ends``."""
    tier = subscription.tier
    keeps = not ends and index >= 0 and tier.rollover_periods > 0
    last = index + 1 + max(tier.rollover_periods, 1)
    until = boundary(subscription.anchor_at, last, ZoneInfo(subscription.zone))
    return Rule(tier, tier.rollover_percent if keeps else ZERO, until)


def rollover_item(close: PeriodClose, rule: Rule, at: datetime) -> dict[str, Any] | None:
    """What the ledger is to grant for the close; None when nothing is kept."""
    if not close.rolled_over:
        return None
    return grant_item(
        organization_id=close.organization_id,
        amount=close.rolled_over,
        kind=LotKind.ROLLOVER,
        reason=f"Rolled over from {rule.tier.name}",
        actor=ACTOR,
        at=at,
        key=f"rollover:{close.subscription_id}:{close.period_index}",
        effective_at=close.ends_at,
        expires_at=rule.until,
        counts_from=close.ends_at,
    )
