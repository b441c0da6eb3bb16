"""What an operator looks at first: the business at a glance, and what waits for somebody."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.models import Mode, Organization
from core.money import ZERO
from credits.models import CreditAccount, EntryKind, Hold, HoldPurpose, LedgerEntry
from metering.models import UsageDay
from openrouter.models import AccountStatus, ProviderAccount, ReconciliationDifference
from outbox.models import DomainEvent

DAYS = 30
_LATEST = 8


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that should be none; ``address`` lists it."""

    label: str
    count: int
    address: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Live books only, USD."""

    liability: Decimal  # unspent credit
    held: Decimal
    owed: Decimal
    charge: Decimal  # of the last days
    provider_cost: Decimal
    markup: Decimal
    events: int
    active: int  # organizations with usage in the last days
    organizations: int
    concerns: list[Concern]
    newest: QuerySet[Organization]
    movements: QuerySet[LedgerEntry]


def figures_at(at: datetime) -> Figures:
    """The figures of the last thirty days up to ``at``."""
    live = Organization.objects.live()
    wallets = CreditAccount.objects.filter(organization__mode=Mode.LIVE)
    sums = wallets.aggregate(balance=Sum("balance"), held=Sum("held"), owed=Sum("overage"))
    usage = _usage(at)
    owed = sums["owed"] or ZERO
    return Figures(
        liability=(sums["balance"] or ZERO) + owed,
        held=sums["held"] or ZERO,
        owed=owed,
        charge=usage["charge_sum"] or ZERO,
        provider_cost=usage["cost_sum"] or ZERO,
        markup=usage["markup_sum"] or ZERO,
        events=usage["event_sum"] or 0,
        active=usage["active"],
        organizations=live.count(),
        concerns=_concerns(at),
        newest=live.order_by("-created_at")[:_LATEST],
        movements=LedgerEntry.objects.exclude(kind=EntryKind.CHARGE)
        .select_related("account__organization")
        .order_by("-posted_at", "-number")[:_LATEST],
    )


def _usage(at: datetime) -> dict[str, Any]:
    days = UsageDay.objects.filter(organization__mode=Mode.LIVE, day__gt=(at - timedelta(days=DAYS)).date())
    return days.aggregate(
        charge_sum=Sum("charge"),
        cost_sum=Sum("provider_cost"),
        markup_sum=Sum("markup"),
        event_sum=Sum("events"),
        active=Count("organization", distinct=True),
    )


def _concerns(at: datetime) -> list[Concern]:
    differences = ReconciliationDifference.objects.filter(resolved_at__isnull=True)
    failed = ProviderAccount.objects.filter(status=AccountStatus.FAILED)
    overdue = Hold.objects.overdue(at).filter(purpose=HoldPurpose.GATEWAY)
    stuck = DomainEvent.objects.filter(dispatched_at__isnull=True, attempts__gt=0)
    return [
        _concern(_("differences with the provider"), differences),
        _concern(_("provider accounts that failed"), failed, status__exact="failed"),
        _concern(_("calls past their deadline"), overdue, status__exact="open", purpose__exact="gateway"),
        _concern(_("news that could not be handed on"), stuck),
    ]


def _concern(label: str, rows: QuerySet[Any], **query: str) -> Concern:
    meta = rows.model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return Concern(label, rows.count(), f"{address}?{urlencode(query)}" if query else address)
