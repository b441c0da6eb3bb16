"""Moving an organization to another tier or option: computed first, then paid or scheduled, then applied."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Organization
from accounts.principal import Actor
from core.errors import KeyReused
from core.ids import uuid7
from payments.models import Collection as PaymentCollection
from payments.models import Payment, Purpose
from payments.services import request_payment
from tiers.errors import NothingToReactivate, TierNotOffered
from tiers.models import ChangeKind, ChangeStatus, Collection, Subscription, TierChange
from tiers.planning import AT_PERIOD_END, WHEN_PAID, SwitchPreview, plan_switch
from tiers.services.applying import apply_change
from tiers.services.paying import asking
from tiers.services.pending import clear_schedule, conclude, withdraw_pending
from tiers.services.rows import (
    current_tier,
    lock_up_to_date,
    open_subscription,
    option_slug,
    refuse_if_owed,
    refuse_if_sold_elsewhere,
    tell,
)


@dataclass(frozen=True, slots=True)
class SwitchOutcome:
    """What a switch has done so far. ``payment`` is what it waits for, or what it was paid with."""

    change: TierChange
    subscription: Subscription | None
    payment: Payment | None
    replayed: bool = False


@transaction.atomic
def preview_switch(
    *, organization_id: UUID, tier_slug: str, at: datetime, option: str | None = None, public_only: bool = False
) -> SwitchPreview:
    """What :func:`switch_tier` would do at ``at``; nothing is kept.

    Raises UnknownTier, TierNotOffered, UnknownOption, AlreadyOnTier, PaymentDue, OverageOwed, SoldElsewhere, NotFound.
    """
    return _preview(lock_up_to_date(organization_id, at), tier_slug, option, at, public_only)


@transaction.atomic
def switch_tier(
    *,
    organization_id: UUID,
    tier_slug: str,
    at: datetime,
    actor: Actor,
    option: str | None = None,
    key: str | None = None,
    public_only: bool = False,
    reason: str = "",
) -> SwitchOutcome:
    """Switch to the current version of a tier: a better one now (once paid), a lesser one at the period's end.

    Choosing the present tier takes back what was to happen at the period's end. A switch that waits already gives way
    to this one. Replaying ``key`` returns the first outcome and moves nothing. ``public_only`` refuses tiers that are
    not on offer. Raises what :func:`preview_switch` raises, and KeyReused; then nothing moved.
    """
    organization = lock_up_to_date(organization_id, at)
    if key is not None and (known := _known(organization_id, key, tier_slug, option)):
        return known
    preview = _preview(organization, tier_slug, option, at, public_only)
    withdraw_pending(organization_id=organization_id, at=at, actor=actor)
    _give_way(preview)
    change = _record(organization, preview, actor, key)
    if reason:
        change.derivation["reason"] = reason
        change.save(update_fields=["derivation"])
    if preview.kind == ChangeKind.KEEP:
        conclude(change, ChangeStatus.APPLIED, at=at)
        tell("subscription.reactivated", _present(preview), actor, at)
    elif preview.takes_effect == AT_PERIOD_END:
        _schedule(change, _present(preview), actor, at)
    else:
        _carry_out(change, preview, actor, at)
    return _outcome(change)


def _give_way(preview: SwitchPreview) -> None:
    """Forget what was to happen at the period's end; a cancellation only when the switch is paid for."""
    before = preview.before
    if before is not None and not (before.cancel_at_period_end and preview.takes_effect == WHEN_PAID):
        clear_schedule(before)


def _preview(
    organization: Organization, tier_slug: str, option: str | None, at: datetime, public_only: bool
) -> SwitchPreview:
    tier = current_tier(tier_slug, at)
    before = open_subscription(organization.id)
    refuse_if_sold_elsewhere(before)
    if public_only and not tier.is_public:
        raise TierNotOffered()
    awaits_payment = before is None or before.collection != Collection.MANUAL
    preview = plan_switch(
        before, tier, option_slug(tier, option), at=at, zone=organization.time_zone, awaits_payment=awaits_payment
    )
    if preview.takes_effect != AT_PERIOD_END:
        refuse_if_owed(organization.id, tier)
    return preview


def _known(organization_id: UUID, key: str, tier_slug: str, option: str | None) -> SwitchOutcome | None:
    change = TierChange.objects.select_related("to_tier").filter(organization_id=organization_id, key=key).first()
    if change is None:
        return None
    if change.to_tier.slug != tier_slug or option not in (None, change.to_option):
        raise KeyReused(key=key)
    return _outcome(change, replayed=True)


def _record(organization: Organization, preview: SwitchPreview, actor: Actor, key: str | None) -> TierChange:
    before = preview.before
    return TierChange.objects.create(
        organization=organization,
        subscription=before,
        kind=preview.kind,
        status=ChangeStatus.SCHEDULED if preview.takes_effect == AT_PERIOD_END else ChangeStatus.AWAITING_PAYMENT,
        from_tier=before.tier if before else None,
        from_option=before.option if before else "",
        to_tier=preview.tier,
        to_option=preview.option.slug,
        period_index=before.period_index if before else None,
        amount=preview.amount,
        credit=preview.credit,
        derivation=preview.facts(),
        key=key or f"switch:{uuid7()}",
        actor=actor.label[:120],
        created_at=preview.at,
        effective_at=preview.effective_at,
    )


def _present(preview: SwitchPreview) -> Subscription:
    """The subscription that a switch keeps or schedules something for; there is none without."""
    if preview.before is None:
        raise NothingToReactivate()
    return preview.before


def _schedule(change: TierChange, subscription: Subscription, actor: Actor, at: datetime) -> None:
    subscription.next_tier, subscription.next_option = change.to_tier, change.to_option
    subscription.save(update_fields=["next_tier", "next_option"])
    facts = {"next_tier": change.to_tier.slug, "next_option": change.to_option, "effective_at": change.effective_at}
    tell("subscription.change_scheduled", subscription, actor, at, **facts)


def _carry_out(change: TierChange, preview: SwitchPreview, actor: Actor, at: datetime) -> None:
    """Apply at once what costs nothing or is invoiced; ask for the money first otherwise."""
    if preview.takes_effect != WHEN_PAID:
        apply_change(change=change, at=at, actor=actor)
    if not change.amount:
        return
    payment = request_payment(
        organization_id=change.organization_id,
        purpose=Purpose.SWITCH,
        amount=change.amount,
        credits=change.credit,
        subject={"change": str(change.id), "description": f"Switch to {change.to_tier.name}"},
        key=f"change:{change.id}",
        at=at,
        actor=actor.label,
        collection=_asking(change, preview),
    )
    # A discount may have paid for all of it: then the switch has been applied on the way.
    TierChange.objects.filter(id=change.id).update(payment_id=payment.id)
    change.refresh_from_db()


def _outcome(change: TierChange, *, replayed: bool = False) -> SwitchOutcome:
    payment = Payment.objects.filter(id=change.payment_id).first() if change.payment_id else None
    return SwitchOutcome(change, open_subscription(change.organization_id), payment, replayed)


def _asking(change: TierChange, preview: SwitchPreview) -> str:
    """An invoice, the saved card, or the provider's page."""
    if preview.takes_effect != WHEN_PAID:
        return PaymentCollection.MANUAL
    return asking(change.organization_id)
