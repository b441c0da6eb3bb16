"""The rows behind every change of a subscription: one lock, one open row, one place where a row ends."""

from copy import copy
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.models import Organization
from accounts.principal import Actor
from accounts.services import lock_organization
from core.errors import InvalidRequest
from core.periods import period_bounds
from credits.models import CreditAccount
from credits.services import set_overage_limit
from credits.upkeep import bring_up_to_date
from outbox.services import publish
from tiers.errors import OverageOwed, SoldElsewhere, UnknownOption, UnknownTier
from tiers.metered import close_meters
from tiers.models import Subscription, SubscriptionStatus, Tier
from tiers.options import options_of
from tiers.querysets import forget_terms

SYSTEM = Actor("system")


def lock_up_to_date(organization_id: UUID, at: datetime) -> Organization:
    """The same lock, with every period that is over at ``at`` closed: what is computed then is of the right period."""
    organization = lock_organization(organization_id)
    bring_up_to_date([organization_id], at)
    return organization


def open_subscription(organization_id: UUID) -> Subscription | None:
    """The row in force, locked; the caller holds the organization's lock."""
    rows = Subscription.objects.open().select_related("organization", "tier", "next_tier", "paid_tier")
    return rows.select_for_update(of=("self",)).filter(organization_id=organization_id).first()


def current_tier(slug: str, at: datetime) -> Tier:
    """The version of a tier that is sold at ``at``. Raises UnknownTier with the ones there are."""
    tier = Tier.objects.current(at).filter(slug=slug).first()
    if tier is None:
        known = list(Tier.objects.current(at).values_list("slug", flat=True))
        raise UnknownTier(f"There is no tier called {slug[:60]!r}.", tiers=known)
    return tier


def option_slug(tier: Tier, slug: str | None) -> str:
    """The option asked for, or the tier's usual one. Raises UnknownOption."""
    slugs = [option.slug for option in options_of(tier)]
    if slug is None:
        return slugs[0]
    if slug not in slugs:
        raise UnknownOption(f"{tier.name} has no option called {slug[:40]!r}.", options=slugs)
    return slug


def end(subscription: Subscription, *, at: datetime, reason: str) -> None:
    """Close the row; nothing is waiting for it any more."""
    subscription.status, subscription.ended_at, subscription.end_reason = SubscriptionStatus.ENDED, at, reason
    subscription.save(update_fields=["status", "ended_at", "end_reason"])
    if at < subscription.period_ends_at:  # else whoever closes the period does
        close_meters(subscription)


_TAKEN_OVER = (
    "organization",
    "tier",
    "option",
    "status",
    "collection",
    "anchor_at",
    "zone",
    "period_index",
    "period_starts_at",
    "period_ends_at",
    "trial_ends_at",
    "sold_by",
    "sold_reference",
)
_LEFT_BEHIND: dict[str, Any] = {
    "cancel_at_period_end": False,
    "last_period": None,
    "next_tier": None,
    "next_option": "",
    "paid_tier": None,
    "paid_option": "",
    "lent_until": None,
}


def succeed(before: Subscription, *, at: datetime, reason: str, **changes: Any) -> Subscription:
    """End ``before`` and open a row that says the same but for ``changes``; what was to happen to it is forgotten."""
    fields = {name: getattr(before, name) for name in _TAKEN_OVER} | _LEFT_BEHIND | changes
    if before.started_at == at:
        # A subscription of no length was never in force.
        after = copy(before)
        for name, value in fields.items():
            setattr(after, name, value)
        after.save(update_fields=list(fields))
        return after
    end(before, at=at, reason=reason)
    return Subscription.objects.create(started_at=at, **fields)


def periods_from(anchor: datetime, zone: str, index: int = 0) -> dict[str, Any]:
    """The columns of a row in period ``index`` counted from ``anchor``."""
    start, finish = period_bounds(anchor, index, ZoneInfo(zone))
    return {
        "anchor_at": anchor,
        "zone": zone,
        "period_index": index,
        "period_starts_at": start,
        "period_ends_at": finish,
        "trial_ends_at": None,
    }


def limit_overage(organization_id: UUID, tier: Tier, *, strict: bool) -> None:
    """Let the wallet go as far below zero as the tier says.

    What is owed beyond that is refused (OverageOwed) when ``strict``, else it stays owed until it is settled, and
    nothing more may be.
    """
    try:
        with transaction.atomic():
            set_overage_limit(organization_id=organization_id, limit=tier.overage_limit, keeps_debt=not strict)
    except InvalidRequest as refusal:
        raise OverageOwed(owed=refusal.facts["owed"], limit=tier.overage_limit) from None


def refuse_if_owed(organization_id: UUID, tier: Tier) -> None:
    """Raises OverageOwed when more is owed below zero than ``tier`` lets an organization owe."""
    account = CreditAccount.objects.filter(pk=organization_id).first()
    owed = account.overage + account.overage_held - account.excess if account else 0
    if owed > tier.overage_limit:
        raise OverageOwed(owed=owed, limit=tier.overage_limit)


def refuse_if_sold_elsewhere(subscription: Subscription | None) -> None:
    """Raises SoldElsewhere: whoever collects the money decides what is in force."""
    if subscription is not None and subscription.sold_by:
        raise SoldElsewhere(
            f"This subscription was bought from {subscription.sold_by}; change or cancel it there.",
            source=subscription.sold_by,
            reference=subscription.sold_reference,
        )


def tell(type: str, subscription: Subscription, actor: Actor, at: datetime, **facts: Any) -> None:
    """Publish a fact about a subscription, and let this process see the new terms at once."""
    data = {
        "subscription_id": subscription.id,
        "tier": subscription.tier.slug,
        "version": subscription.tier.version,
        "option": subscription.option,
        **facts,
    }
    publish(type=type, organization_id=subscription.organization_id, data=data, actor=actor, at=at)
    transaction.on_commit(forget_terms)
