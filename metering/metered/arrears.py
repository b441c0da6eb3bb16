"""What closed periods owe by meters and nobody has been asked for yet."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import DecimalField, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from core.jsonio import dumps_text
from core.money import USD_PLACES, ZERO
from core.sqlcalls import Query, run
from metering.metered.models import MeteredCounter
from payments.models import Payment, Purpose
from payments.models import Status as PaymentStatus
from tiers.models import Subscription
from tiers.proration import prorated, unused_share

_ASKED_FOR = (PaymentStatus.OPEN, PaymentStatus.PROCESSING, PaymentStatus.SUCCEEDED)


def arrears_of(subscriptions: Sequence[Subscription]) -> list[Decimal]:
    """Close the meters' periods of ``subscriptions``; USD that each organization owes beyond what it was asked for.

    A minimum is due for the part of the period in which the subscription was in force. The caller holds the
    organizations' locks. A bill that was paid or may still be counts as asked for.
    """
    concerned = [each for each in subscriptions if each.tier.metered_prices]
    organizations = {each.organization_id for each in subscriptions}
    known = MeteredCounter.objects.filter(organization__in=organizations, owed__gt=0)
    owing = set(known.values_list("organization_id", flat=True).distinct())
    items = [each for each in subscriptions if each in concerned or each.organization_id in owing]
    if not items:
        return [ZERO] * len(subscriptions)
    text = dumps_text(
        [
            {
                "organization_id": each.organization_id,
                "subscription_id": each.id,
                "period_index": each.period_index,
                "tier_id": each.tier_id,
                "starts_at": each.period_starts_at,
                "ends_at": each.period_ends_at,
                "minimums": _minimums(each),
            }
            for each in items
        ]
    )
    rows = run(Query("SELECT * FROM metering_close_periods($1::jsonb, $2::timestamptz)", (text, _latest(items))))
    asked = _asked_for([each.organization_id for each in items])
    owed = {
        each.id: max(total - asked.get(each.organization_id, ZERO), ZERO)
        for each, (_, total) in zip(items, rows, strict=True)
    }
    return [owed.get(each.id, ZERO) for each in subscriptions]


def _minimums(subscription: Subscription) -> dict[str, Decimal]:
    """What each meter of the tier costs at least, USD, for as much of the period as the subscription was in force."""
    start, end = subscription.period_starts_at, subscription.period_ends_at
    until = subscription.ended_at or end
    share = unused_share(start, end, subscription.started_at) - unused_share(start, end, until)
    return {
        each["meter"]: least
        for each in subscription.tier.metered_prices
        if (least := prorated(Decimal(each["price"].get("minimum") or 0), share, places=USD_PLACES))
    }


def _latest(subscriptions: Sequence[Subscription]) -> datetime:
    return max(each.ended_at or each.period_ends_at for each in subscriptions)


def _asked_for(organization_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """What the bills of each organization have asked for on account of meters."""
    metered = Cast(KeyTextTransform("metered", "subject"), DecimalField(max_digits=24, decimal_places=12))
    bills = Payment.objects.filter(
        organization__in=organization_ids,
        purpose=Purpose.OVERAGE,
        status__in=_ASKED_FOR,
        subject__has_key="metered",
    )
    return dict(bills.values_list("organization_id").annotate(total=Sum(metered)))
