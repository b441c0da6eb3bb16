"""Trials that are about to end: announced once each, while there is time to cancel or to save a card."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, Exists, OuterRef, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from accounts.services import lock_organization
from core.times import utc_text
from outbox.models import DomainEvent
from outbox.taskruns import apart
from payments.services import methods_of
from tiers.models import Collection, Subscription, SubscriptionStatus
from tiers.services.rows import SYSTEM, tell

SOON = timedelta(days=3)
TYPE = "tier.trial_ending"


def announce_ending_trials(*, at: datetime, limit: int = 500) -> int:
    """Publish up to ``limit`` trials that end within SOON, the next ones first; how many.

    Those that are cancelled, or whose organization is suspended, end without a charge and are left out. A trial that is
    shorter is announced when it begins.
    """
    ending = _untold(at).order_by("period_ends_at", "id").values_list("id", "organization_id")
    told = 0
    for subscription_id, organization_id in list(ending[:limit]):
        with apart("tiers.reminder_failed", subscription_id):
            told += _announce(subscription_id, organization_id, at)
    return told


@transaction.atomic
def _announce(subscription_id: UUID, organization_id: UUID, at: datetime) -> bool:
    lock_organization(organization_id)  # it may just be cancelled, or told of by somebody else
    rows = _untold(at).select_related("organization", "tier", "paid_tier", "next_tier")
    subscription = rows.filter(pk=subscription_id).first()
    if subscription is not None:
        tell(TYPE, subscription, SYSTEM, at, **_what_follows(subscription))
    return subscription is not None


def _what_follows(subscription: Subscription) -> dict[str, Any]:
    """When it ends, and what is charged then, USD without discounts; ``collection`` says how."""
    following = subscription.next_tier
    price = subscription.price if following is None else following.monthly_price
    method = methods_of(subscription.organization_id).filter(is_default=True).first()
    return {
        "trial_ends_at": utc_text(subscription.period_ends_at),
        "zone": subscription.zone,
        "next_tier": (following or subscription.paid_tier or subscription.tier).slug,
        "monthly_price": price,
        "collection": subscription.collection if price else Collection.NONE,
        "payment_method": "" if method is None else method.label,
    }


def _untold(at: datetime) -> QuerySet[Subscription]:
    """Subscriptions whose trial ends within SOON, where that end was not announced yet."""
    told = DomainEvent.objects.filter(
        organization_id=OuterRef("organization_id"), type=TYPE, created_at__gt=at - 2 * SOON
    ).annotate(ends_at=Cast(KT("data__trial_ends_at"), DateTimeField()))
    trials = Subscription.objects.open().filter(status=SubscriptionStatus.TRIALING, cancel_at_period_end=False)
    charged = trials.filter(organization__is_suspended=False)
    ending = charged.filter(period_ends_at__gt=at, period_ends_at__lte=at + SOON)
    return ending.filter(~Exists(told.filter(ends_at=OuterRef("period_ends_at"))))
