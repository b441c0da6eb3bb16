"""The credit that a tier gives for a period."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.periods import period_bounds, period_index
from credits.models import LedgerEntry, LotKind
from credits.services import Posting, grant_credits
from tiers.models import Subscription


def allocate_period(
    *, subscription: Subscription, index: int, at: datetime, amount: Decimal | None = None, actor: str = "system"
) -> Posting | None:
    """Grant the credit of period ``index``, once however often it is asked for; None when the tier gives none.

    ``amount`` USD (default: the option's monthly credit). Credit that is paid for after its period has ended lasts
    until the end of the period in which it comes.
    """
    return allocate_credit(
        subscription=subscription,
        amount=subscription.monthly_credit if amount is None else amount,
        reason=f"Monthly credit of {subscription.tier.name}",
        key=f"allocation:{subscription.id}:{index}",
        index=index,
        at=at,
        actor=actor,
    )


def allocate_credit(
    *, subscription: Subscription, amount: Decimal, reason: str, key: str, index: int, at: datetime, actor: str
) -> Posting | None:
    """Grant ``amount`` USD of the tier's credit that ends with period ``index``, if the tier's credit ends at all.

    None when it was given before, perhaps until another end: an invoice may be paid after its period.
    """
    if not amount or LedgerEntry.objects.filter(account_id=subscription.organization_id, key=key).exists():
        return None
    start, _ = bounds_of(subscription, index)
    return grant_credits(
        organization_id=subscription.organization_id,
        amount=amount,
        kind=LotKind.ALLOCATED,
        reason=reason,
        actor=actor,
        at=at,
        key=key,
        counts_from=at,
        effective_at=max(start, subscription.started_at),
        expires_at=_last_until(subscription, index, at) if subscription.tier.credit_expires else None,
    )


def bounds_of(subscription: Subscription, index: int) -> tuple[datetime, datetime]:
    """[start, end) of a period of the subscription; period −1 of one that began with a trial is the trial."""
    if index < 0 and subscription.trial_ends_at is not None:
        return subscription.started_at, subscription.trial_ends_at
    return period_bounds(subscription.anchor_at, index, ZoneInfo(subscription.zone))


def _last_until(subscription: Subscription, index: int, at: datetime) -> datetime:
    _, finish = bounds_of(subscription, index)
    if finish > at:
        return finish
    zone = ZoneInfo(subscription.zone)
    return period_bounds(subscription.anchor_at, period_index(subscription.anchor_at, at, zone), zone)[1]
