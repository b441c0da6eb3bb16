"""Moving those who bought an older version of a tier to the present one: an operator's word, at their period's end."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from core.ids import uuid7
from outbox.services import publish
from outbox.taskruns import apart
from tiers.errors import OverageOwed
from tiers.models import ChangeKind, ChangeStatus, Subscription, Tier, TierChange
from tiers.options import options_of
from tiers.services.pending import WAITING
from tiers.services.rows import current_tier, lock_up_to_date, open_subscription, refuse_if_owed, tell


@dataclass(frozen=True, slots=True)
class Move:
    """Who would move to ``tier``, and how many stay for each reason."""

    tier: Tier
    movable: list[UUID]  # organizations
    left_out: Counter[str]
    first_at: datetime | None  # when the first and the last of them move
    last_at: datetime | None


def preview_move(*, tier_slug: str, at: datetime) -> Move:
    """What :func:`move_to_newest` would do; nothing is kept. Raises UnknownTier."""
    tier = current_tier(tier_slug, at)
    rows = Subscription.objects.open().filter(tier__slug=tier_slug).exclude(tier=tier)
    lent = Subscription.objects.open().filter(paid_tier__slug=tier_slug).exclude(paid_tier=tier)
    found = list((rows | lent).select_related("tier", "paid_tier").order_by("period_ends_at", "id"))
    busy = set(
        TierChange.objects.filter(organization__in=[each.organization_id for each in found], status__in=WAITING)
        .values_list("organization_id", flat=True)
    )  # fmt: skip
    movable, left_out = [], Counter[str]()
    for each in found:
        if reason := _stays(each, tier, has_pending=each.organization_id in busy):
            left_out[reason] += 1
        else:
            movable.append(each)
    ends = [each.period_ends_at for each in movable]
    return Move(
        tier, [each.organization_id for each in movable], left_out, min(ends, default=None), max(ends, default=None)
    )


def move_to_newest(*, tier_slug: str, at: datetime, actor: Actor, reason: str) -> int:
    """Let every subscriber of an older version begin the present one when their period ends; how many.

    Each in a transaction of its own: one that fails keeps no other, and running it again takes up what is left.
    Raises UnknownTier.
    """
    move = preview_move(tier_slug=tier_slug, at=at)
    moved = 0
    for organization_id in move.movable:
        with apart("tiers.move_failed", organization_id), transaction.atomic():
            moved += _move(organization_id, move.tier, at, actor, reason)
    facts = {"tier": tier_slug, "version": move.tier.version, "organizations": moved, "reason": reason}
    publish(type="tier.subscribers_moved", organization_id=None, data=facts, actor=actor, at=at)
    return moved


def _move(organization_id: UUID, tier: Tier, at: datetime, actor: Actor, reason: str) -> bool:
    lock_up_to_date(organization_id, at)
    before = open_subscription(organization_id)
    waiting = TierChange.objects.filter(organization_id=organization_id, status__in=WAITING).exists()
    if before is None or before.tier_id == tier.id or before.tier.slug != tier.slug:
        return False
    if _stays(before, tier, has_pending=waiting):
        return False
    try:
        refuse_if_owed(organization_id, tier)
    except OverageOwed:
        return False
    before.next_tier, before.next_option = tier, before.option
    before.save(update_fields=["next_tier", "next_option"])
    TierChange.objects.create(
        organization_id=organization_id,
        subscription=before,
        kind=ChangeKind.VERSION,
        status=ChangeStatus.SCHEDULED,
        from_tier=before.tier,
        from_option=before.option,
        to_tier=tier,
        to_option=before.option,
        period_index=before.period_index,
        derivation={"reason": reason, "starts_new_period": False},
        key=f"version:{uuid7()}",
        actor=actor.label[:120],
        created_at=at,
        effective_at=before.period_ends_at,
    )
    facts = {"next_tier": tier.slug, "next_version": tier.version, "effective_at": before.period_ends_at}
    tell("subscription.change_scheduled", before, actor, at, reason=reason, **facts)
    return True


def _stays(subscription: Subscription, tier: Tier, *, has_pending: bool) -> str:
    """Why it is left as it is; empty when it moves."""
    if subscription.paid_tier_id is not None:
        return "a coupon lends them a better tier"
    if subscription.sold_by:
        return "bought elsewhere"
    if subscription.ends_at or subscription.next_tier_id or has_pending:
        return "something else happens to them already"
    if subscription.option not in [option.slug for option in options_of(tier)]:
        return "the new version has not their option"
    return ""
