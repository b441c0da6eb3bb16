"""What waits for somebody: things that should be none, each with the list of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import site
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from credits.models import Hold, HoldPurpose
from credits.operations import BatchStatus, MovementBatch, RowStatus
from openrouter.models import AccountStatus, ProviderAccount, ProviderBalance, ReconciliationDifference
from outbox.jobs import troubled_jobs
from outbox.models import DomainEvent, EmailDelivery, EmailStatus, TaskState, WebhookEndpoint
from outbox.webhooks.models import Off
from payments.models import REFUND_FAILED, Dispute, DisputeStatus, IncomingEvent, Payment
from payments.models import Outcome as EventOutcome
from tiers.models import Subscription, SubscriptionStatus

FLOAT_WARNING = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that should be none; ``address`` lists it, where there is such a page."""

    label: str
    count: int
    address: str


def concerns_at(at: datetime, floats: Iterable[timedelta | None]) -> list[Concern]:
    """Each of them, also those that are none; ``floats`` is how long the provider's accounts last."""
    short = sum(lasts is not None and lasts < FLOAT_WARNING for lasts in floats)
    differences = ReconciliationDifference.objects.open()
    failed_accounts = ProviderAccount.objects.filter(status=AccountStatus.FAILED)
    overdue = Hold.objects.overdue(at).filter(purpose=HoldPurpose.GATEWAY)
    stuck = DomainEvent.objects.filter(dispatched_at__isnull=True, attempts__gt=0)
    letters = EmailDelivery.objects.filter(status=EmailStatus.FAILED)
    silent = WebhookEndpoint.objects.filter(enabled=False).exclude(off_reason=Off.SWITCHED_OFF)
    events = IncomingEvent.objects.filter(outcome__in=(EventOutcome.FAILED, EventOutcome.REFUSED))
    disputes = Dispute.objects.filter(status=DisputeStatus.OPEN)
    unrefunded = Payment.objects.filter(failure_code=REFUND_FAILED)
    past_due = Subscription.objects.filter(status=SubscriptionStatus.PAST_DUE, ended_at__isnull=True)
    refused = MovementBatch.objects.filter(status=BatchStatus.DONE, rows__status=RowStatus.FAILED).distinct()
    return [
        Concern(_("jobs that fail or are overdue"), troubled_jobs(at), _list_of(TaskState)),
        _concern(_("payment events that failed or were refused"), events),
        _concern(_("payments that are disputed with the bank"), disputes, status__exact="open"),
        _concern(_("payments whose refund failed"), unrefunded, failure_code__exact=REFUND_FAILED),
        _concern(_("differences with the provider"), differences, state="open"),
        Concern(_("provider accounts that last less than a week"), short, _list_of(ProviderBalance)),
        _concern(_("provider accounts that failed"), failed_accounts, status__exact="failed"),
        _concern(_("calls past their deadline"), overdue, status__exact="open", purpose__exact="gateway"),
        _concern(_("subscriptions past due"), past_due),
        _concern(_("news that could not be handed on"), stuck, state="failing"),
        _concern(_("e-mails that were given up"), letters, status__exact="failed"),
        _concern(_("webhook endpoints that were disabled"), silent, enabled__exact="0"),
        _concern(_("files of movements with refused lines"), refused, status__exact="done"),
    ]


def _concern(label: str, rows: QuerySet[Any], **query: str) -> Concern:
    address = _list_of(rows.model)
    return Concern(label, rows.count(), f"{address}?{urlencode(query)}" if address and query else address)


def _list_of(model: Any) -> str:
    if not site.is_registered(model):
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
