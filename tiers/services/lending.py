"""What coupons give: periods without a charge, and a better tier for a time."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from core.money import ZERO
from payments.models import Discount, DiscountTarget
from payments.services import add_discount
from tiers.errors import NoTier, TierNotBetter
from tiers.models import ChangeKind, ChangeStatus, Subscription, Tier, TierChange
from tiers.options import option_of
from tiers.proration import credit_difference, unused_share
from tiers.services.allocation import allocate_credit, allocate_period
from tiers.services.pending import withdraw_pending
from tiers.services.rows import (
    SYSTEM,
    current_tier,
    limit_overage,
    lock_up_to_date,
    open_subscription,
    option_slug,
    periods_from,
    succeed,
    tell,
)

_WHOLE = Decimal(100)


def extend_free(
    *, organization_id: UUID, periods: int, key: str, at: datetime, source: str = "Free period", actor: str = "system"
) -> Discount:
    """Let the next ``periods`` payments for a tier cost nothing. Replaying ``key`` changes nothing."""
    return add_discount(
        organization_id=organization_id,
        percent=_WHOLE,
        applies_to=DiscountTarget.SUBSCRIPTION,
        uses=periods,
        key=key,
        source=source,
        at=at,
        actor=actor,
    )


@transaction.atomic
def grant_tier(
    *,
    organization_id: UUID,
    tier_slug: str,
    until_periods: int,
    at: datetime,
    key: str,
    actor: Actor = SYSTEM,
    option: str | None = None,
) -> Subscription:
    """Lend a better tier for ``until_periods`` full periods (and the rest of the present one), then go back.

    Meanwhile the price stays that of the tier that is paid for. Lending the same tier again makes it last longer.
    Replaying ``key`` changes nothing. Raises UnknownTier, UnknownOption, TierNotBetter, NoTier.
    """
    lock_up_to_date(organization_id, at)
    before = open_subscription(organization_id)
    if before is None:
        raise NoTier()
    if TierChange.objects.filter(organization_id=organization_id, key=key).exists():
        return before
    tier = current_tier(tier_slug, at)
    chosen = option_slug(tier, option)
    if before.paid_tier is not None and (before.tier.slug, before.option) == (tier.slug, chosen):
        return _last_longer(before, until_periods, key, actor, at)
    _refuse_worse(before, tier, chosen)
    withdraw_pending(organization_id=organization_id, at=at, actor=actor)
    after = _lend(before, tier, chosen, until_periods, at)
    credit = _allocate(before, after, at, key, actor)
    limit_overage(organization_id, tier, strict=False)
    _record(before, after, key, actor, at, credit)
    tell("tier.changed", after, actor, at, before=before.tier.slug, lent_until=after.lent_until)
    return after


def _refuse_worse(before: Subscription, tier: Tier, option: str) -> None:
    """A coupon never takes anything away."""
    offered = (tier.monthly_price, option_of(tier, option).monthly_credit)
    if offered <= (before.tier.monthly_price, before.monthly_credit):
        raise TierNotBetter(f"{tier.name} is no better than {before.tier.name}.")


def _lend(before: Subscription, tier: Tier, option: str, periods: int, at: datetime) -> Subscription:
    changes: dict[str, Any] = {
        "tier": tier,
        "option": option,
        "paid_tier": before.paid_tier or before.tier,
        "paid_option": before.paid_option or before.option,
    }
    if before.is_free and before.paid_tier is None:
        changes |= periods_from(at, before.zone) | {"lent_until": periods}
    else:
        rest = 1 if at > before.period_starts_at else 0
        changes["lent_until"] = max(before.lent_until or 0, before.period_index + rest + periods)
        # A coupon takes no cancellation back: what is lent ends with what is paid for.
        changes |= {name: getattr(before, name) for name in ("cancel_at_period_end", "last_period")}
    return succeed(before, at=at, reason="lent", **changes)


def _allocate(before: Subscription, after: Subscription, at: datetime, key: str, actor: Actor) -> Decimal:
    """A whole period's credit when one begins, else the difference for the rest of it; what was given, USD."""
    if (after.anchor_at, after.period_index) != (before.anchor_at, before.period_index):
        allocate_period(subscription=after, index=0, at=at, actor=actor.label)
        return after.monthly_credit
    share = unused_share(after.period_starts_at, after.period_ends_at, at)
    credit = max(ZERO, credit_difference(before.monthly_credit, after.monthly_credit, share))
    allocate_credit(
        subscription=after,
        amount=credit,
        reason=f"Credit of {after.tier.name} for the rest of the period",
        key=f"lent:{key}",
        index=after.period_index,
        at=at,
        actor=actor.label,
    )
    return credit


def _last_longer(before: Subscription, periods: int, key: str, actor: Actor, at: datetime) -> Subscription:
    before.lent_until = (before.lent_until or before.period_index) + periods
    before.save(update_fields=["lent_until"])
    _record(before, before, key, actor, at, ZERO)
    tell("subscription.extended", before, actor, at, lent_until=before.lent_until)
    return before


def _record(before: Subscription, after: Subscription, key: str, actor: Actor, at: datetime, credit: Decimal) -> None:
    TierChange.objects.create(
        organization=after.organization,
        subscription=before,
        kind=ChangeKind.LOAN,
        status=ChangeStatus.APPLIED,
        from_tier=before.tier,
        from_option=before.option,
        to_tier=after.tier,
        to_option=after.option,
        period_index=after.period_index,
        credit=credit,
        key=key,
        actor=actor.label[:120],
        created_at=at,
        effective_at=at,
        ended_at=at,
    )
