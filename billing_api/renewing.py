"""A period that is over is closed before anybody is shown what came of it."""

from uuid import UUID

from django.db.models import Q

from billing.models import CustomerSubscription
from billing.services import renew_before_reading
from billing_api.calls import Call

# What one request waits for; the rest is done by the job that runs every few seconds.
MOST = 20


def renew_named(call: Call, customer_ids: list[UUID], external_ids: list[str]) -> None:
    """Renew what is due of these customers."""
    if customer_ids or external_ids:
        _renew(call, Q(customer_id__in=customer_ids) | Q(customer__external_id__in=external_ids))


def renew_shown(call: Call, ids: list[UUID]) -> None:
    """Renew what is due of these subscriptions."""
    _renew(call, Q(id__in=ids))


def _renew(call: Call, wanted: Q) -> None:
    due = CustomerSubscription.objects.of(call.organization_id).due(call.at).filter(wanted)
    for customer_id in dict.fromkeys(due.values_list("customer_id", flat=True)[:MOST]):
        renew_before_reading(customer_id=customer_id, at=call.at)
