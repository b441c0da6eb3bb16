"""From one period to the next, for many subscriptions at once."""

from collections.abc import Sequence
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from core.jsonio import dumps_text
from core.periods import period_bounds
from tiers.models import ChangeStatus, Subscription, SubscriptionStatus, TierChange
from tiers.querysets import forget_terms
from tiers.services import open_next_period

_ADVANCE = """
UPDATE tiers_subscription s
SET period_index = n.period_index, period_starts_at = n.period_starts_at, period_ends_at = n.period_ends_at
FROM jsonb_to_recordset(%s::jsonb)
    AS n (id uuid, period_index integer, period_starts_at timestamptz, period_ends_at timestamptz)
WHERE s.id = n.id"""


def turn(subscriptions: Sequence[Subscription]) -> list[Subscription | None]:
    """The row in force after each one's period; what was to happen at its end has happened.

    Where nothing was to happen the row goes on, all in one statement. The caller holds the organizations' locks.
    """
    changing = _with_a_change([each.organization_id for each in subscriptions])
    following: list[Subscription | None] = []
    going_on = []
    for subscription in subscriptions:
        if subscription.organization_id in changing or not _just_goes_on(subscription):
            following.append(open_next_period(subscription=subscription))
        else:
            _advance(subscription)
            going_on.append(subscription)
            following.append(subscription)
    _save(going_on)
    transaction.on_commit(forget_terms)
    return following


def _just_goes_on(subscription: Subscription) -> bool:
    return (
        subscription.ends_at is None
        and subscription.next_tier_id is None
        and subscription.paid_tier_id is None
        and subscription.status != SubscriptionStatus.TRIALING
    )


def _with_a_change(organization_ids: Sequence[UUID]) -> set[UUID]:
    waiting = TierChange.objects.filter(
        organization__in=organization_ids, status__in=[ChangeStatus.AWAITING_PAYMENT, ChangeStatus.SCHEDULED]
    )
    return set(waiting.values_list("organization_id", flat=True))


def _advance(subscription: Subscription) -> None:
    subscription.period_index += 1
    subscription.period_starts_at, subscription.period_ends_at = period_bounds(
        subscription.anchor_at, subscription.period_index, ZoneInfo(subscription.zone)
    )


def _save(subscriptions: Sequence[Subscription]) -> None:
    columns = ("id", "period_index", "period_starts_at", "period_ends_at")
    rows = [{column: getattr(each, column) for column in columns} for each in subscriptions]
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE, [dumps_text(rows)])
