"""The life of a subscription: its beginning, a trial, its end, and the way back before that."""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.models import Organization
from accounts.principal import Actor
from core.periods import period_index
from credits.models import LotKind
from credits.services import grant_credits
from tiers.errors import NothingToCancel, NothingToReactivate, NoTrial
from tiers.models import ChangeKind, Collection, Subscription, SubscriptionStatus, Tier
from tiers.querysets import tier_of
from tiers.services.allocation import allocate_credit
from tiers.services.pending import clear_schedule, pending_change, withdraw_pending
from tiers.services.rows import (
    SYSTEM,
    current_tier,
    limit_overage,
    lock_up_to_date,
    open_subscription,
    option_slug,
    periods_from,
    refuse_if_sold_elsewhere,
    succeed,
    tell,
)
from tiers.services.turning import fall_to_default

_MOMENT = timedelta(microseconds=1)
_FAR = timedelta(days=36_525)  # what is paid for until later, such as the year 9999, is so for good


@transaction.atomic
def subscribe(
    *,
    organization_id: UUID,
    tier_slug: str,
    at: datetime,
    actor: Actor = SYSTEM,
    option: str | None = None,
    collection: str | None = None,
    reason: str = "",
) -> Subscription:
    """Put the organization on the current version of a tier from ``at`` on, without asking for money or giving credit.

    It keeps its periods unless it comes from a free tier or a trial. ``collection`` says how later periods are paid for
    (default: as before; nothing is charged for what begins like this). Their credit comes as for everybody.
    Raises UnknownTier, UnknownOption, NotFound, or OverageOwed when more is owed than the tier lets one owe.
    """
    organization = lock_up_to_date(organization_id, at)
    tier = current_tier(tier_slug, at)
    chosen = option_slug(tier, option)
    before = open_subscription(organization_id)
    if before is not None and before.paid_tier is None and (before.tier_id, before.option) == (tier.id, chosen):
        return before
    withdraw_pending(organization_id=organization_id, at=at, actor=actor)
    if collection is None:
        collection = before.collection if before is not None else Collection.NONE
    changes = {
        "tier": tier,
        "option": chosen,
        "collection": collection if tier.has_bills else Collection.NONE,
    }
    after = _follow(organization, before, changes, at)
    limit_overage(organization_id, tier, strict=True)
    tell("tier.changed", after, actor, at, before=before and before.tier.slug, reason=reason)
    return after


def grant_welcome_credit(*, organization_id: UUID, at: datetime) -> None:
    """Give a new customer what their tier gives as a present, once; nothing on a tier that gives none."""
    tier = tier_of(organization_id)
    if tier.welcome_credit > 0:
        grant_credits(
            organization_id=organization_id,
            amount=tier.welcome_credit,
            kind=LotKind.BONUS,
            reason="Welcome credit",
            actor=SYSTEM.label,
            at=at,
            key="welcome-credit",
        )


@transaction.atomic
def settle_in(*, organization_id: UUID, tier_slug: str | None, is_signup: bool, at: datetime) -> None:
    """The first tier of a new organization, and its welcome credit when a person signed up.

    Before any catalogue is loaded there is nothing to subscribe to; the default tier applies once there is one.
    """
    default = Tier.objects.default(at)
    if tier_slug is None and default is None:
        return
    subscribe(organization_id=organization_id, tier_slug=tier_slug or default.slug, at=at)  # type: ignore[union-attr]
    if is_signup:
        grant_welcome_credit(organization_id=organization_id, at=at)


@transaction.atomic
def start_trial(
    *,
    organization_id: UUID,
    tier_slug: str,
    at: datetime,
    actor: Actor,
    option: str | None = None,
    days: int | None = None,
    public_only: bool = False,
    reason: str = "",
) -> Subscription:
    """Begin a trial of a tier: its terms without a charge; the first paid period begins when the trial ends.

    An organization that pays for nothing has one trial. ``days`` is an operator's word: it gives another trial, or one
    of a tier without any. Raises NoTrial, UnknownTier, UnknownOption, OverageOwed.
    """
    organization = lock_up_to_date(organization_id, at)
    tier = current_tier(tier_slug, at)
    chosen = option_slug(tier, option)
    before = open_subscription(organization_id)
    _refuse_trial(before, tier, organization_id, days, public_only)
    withdraw_pending(organization_id=organization_id, at=at, actor=actor)
    changes = {"tier": tier, "option": chosen, **_trial_from(at, days or tier.trial_days)}
    if before is None:
        zone = organization.time_zone
        after = Subscription.objects.create(organization=organization, started_at=at, zone=zone, **changes)
    else:
        after = succeed(before, at=at, reason="switched", **changes)
    limit_overage(organization_id, tier, strict=True)
    _give_trial_credit(after, at, actor)
    tell("subscription.trial_started", after, actor, at, trial_ends_at=after.trial_ends_at, reason=reason)
    tell("tier.changed", after, actor, at, before=before and before.tier.slug)
    return after


def _refuse_trial(
    before: Subscription | None, tier: Tier, organization_id: UUID, days: int | None, public_only: bool
) -> None:
    pays = before is not None and (not before.is_free or before.paid_tier is not None)
    if pays or not (days or tier.trial_days) or not tier.monthly_price or (public_only and not tier.is_public):
        raise NoTrial()
    if days is None and had_trial(organization_id):
        raise NoTrial("This organization has had its trial.")


def _give_trial_credit(subscription: Subscription, at: datetime, actor: Actor) -> None:
    allocate_credit(
        subscription=subscription,
        amount=subscription.tier.trial_credit,
        reason=f"Trial credit of {subscription.tier.name}",
        key=f"trial:{subscription.id}",
        index=-1,
        at=at,
        actor=actor.label,
    )


def _trial_from(at: datetime, days: int) -> dict[str, object]:
    """The columns of a row in a trial of ``days``: its paid periods are counted from the trial's end."""
    ends_at = at + timedelta(days=days)
    return {
        "status": SubscriptionStatus.TRIALING,
        "collection": Collection.AUTOMATIC,
        "anchor_at": ends_at,
        "period_index": -1,
        "period_starts_at": at,
        "period_ends_at": ends_at,
        "trial_ends_at": ends_at,
    }


def had_trial(organization_id: UUID) -> bool:
    """Whether the organization has ever tried a tier."""
    return Subscription.objects.filter(organization_id=organization_id, trial_ends_at__isnull=False).exists()


@transaction.atomic
def cancel_subscription(
    *,
    organization_id: UUID,
    at: datetime,
    actor: Actor,
    at_once: bool = False,
    until: datetime | None = None,
    reason: str = "",
    by_customer: bool = False,
) -> Subscription | None:
    """End a paid subscription at the end of its period; then the default tier begins. Doing it again changes nothing.

    ``until``: it is paid for until then, and ends with the period in which that lies. ``at_once`` ends it now: nothing
    is paid back, and the credit that came with it stays until it expires. Returns what is in force then.
    Raises NothingToCancel, NotFound; SoldElsewhere when it is the customer's word (``by_customer``).
    """
    lock_up_to_date(organization_id, at)
    subscription = open_subscription(organization_id)
    if subscription is None or subscription.is_free:
        raise NothingToCancel()
    if by_customer:
        refuse_if_sold_elsewhere(subscription)
    if at_once:
        return fall_to_default(subscription=subscription, at=at, reason="canceled", actor=actor, words=reason)
    later = _later_period(subscription, until and min(until, at + _FAR))
    if (subscription.cancel_at_period_end, subscription.last_period) == (later is None, later):
        return subscription
    withdraw_pending(organization_id=organization_id, at=at, actor=actor)
    clear_schedule(subscription)
    subscription.cancel_at_period_end, subscription.last_period = later is None, later
    subscription.save(update_fields=["cancel_at_period_end", "last_period"])
    tell("subscription.canceled", subscription, actor, at, effective_at=subscription.ends_at, reason=reason)
    return subscription


def _later_period(subscription: Subscription, until: datetime | None) -> int | None:
    """The index of the period in which the last moment before ``until`` lies; None when it is not beyond this one."""
    if until is None or until <= subscription.period_ends_at:
        return None
    return period_index(subscription.anchor_at, until - _MOMENT, ZoneInfo(subscription.zone))


@transaction.atomic
def reactivate_subscription(
    *, organization_id: UUID, at: datetime, actor: Actor, reason: str = "", by_customer: bool = False
) -> Subscription:
    """Take back a cancellation, or a change that waits for the period's end.

    Raises NothingToReactivate, NotFound, and SoldElsewhere when it is the customer's word (``by_customer``).
    """
    lock_up_to_date(organization_id, at)
    subscription = open_subscription(organization_id)
    if subscription is None or not (subscription.ends_at or subscription.next_tier_id):
        raise NothingToReactivate()
    if by_customer:
        refuse_if_sold_elsewhere(subscription)
        _refuse_if_moved(subscription)
    withdraw_pending(organization_id=organization_id, at=at, actor=actor)
    clear_schedule(subscription)
    tell("subscription.reactivated", subscription, actor, at, reason=reason)
    return subscription


@transaction.atomic
def set_collection(
    *, organization_id: UUID, collection: str, at: datetime, actor: Actor, reason: str = ""
) -> Subscription:
    """An operator's word on how later periods are paid for; what is collected here is no longer sold elsewhere.

    Raises NothingToCancel on a tier without bills.
    """
    lock_up_to_date(organization_id, at)
    subscription = open_subscription(organization_id)
    if subscription is None or not subscription.tier.has_bills:
        raise NothingToCancel("There is no paid subscription.")
    subscription.collection = Collection(collection)
    if subscription.collection != Collection.NONE:
        subscription.sold_by = subscription.sold_reference = ""
    subscription.save(update_fields=["collection", "sold_by", "sold_reference"])
    tell("subscription.collection_changed", subscription, actor, at, collection=collection, reason=reason)
    return subscription


def _refuse_if_moved(subscription: Subscription) -> None:
    """An operator's move to a newer version is not the customer's to take back. Raises NothingToReactivate."""
    change = pending_change(subscription.organization_id)
    if change is not None and change.kind == ChangeKind.VERSION and not subscription.cancel_at_period_end:
        raise NothingToReactivate()


def _follow(
    organization: Organization, before: Subscription | None, changes: dict[str, object], at: datetime
) -> Subscription:
    if before is None:
        fields = {**changes, **periods_from(at, organization.time_zone)}
        return Subscription.objects.create(organization=organization, started_at=at, **fields)
    if changes["collection"] == Collection.NONE:  # nothing is due for it, whatever was for the one before
        changes = {**changes, "status": SubscriptionStatus.ACTIVE}
    if before.status == SubscriptionStatus.TRIALING or before.is_free:
        changes = {**changes, "status": SubscriptionStatus.ACTIVE, **periods_from(at, before.zone)}
    return succeed(before, at=at, reason="switched", **changes)
