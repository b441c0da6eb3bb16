"""Telling owners and billing members that credit runs low, has run out or is about to expire: once each time.

A shortage begins when the posted balance falls below the threshold and ends when it is back above it; credit that can
only be spent later is not there yet. What is only held by running calls is no shortage yet.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce

from accounts.contacts import billing_contacts
from accounts.models import Mode
from core.letters import letter
from core.money import MoneyField
from credits.balances import pending_credit
from credits.models import CreditAccount, Lot, LotKind
from credits.notices import EXPIRING, LOW
from credits.operations import AlertKind, CreditAlert
from outbox.mail import queue_email
from outbox.models import DomainEvent
from outbox.notices.services import wanting
from outbox.services import publish
from outbox.taskruns import apart

EXPIRES_WITHIN = timedelta(days=7)
_SMALLEST = Decimal("0.01")  # credit below a cent is nobody's worry
_ACTOR = "credit alerts"


def detect_shortages(*, at: datetime, limit: int = 500) -> int:
    """Announce each live wallet that is short and was not announced yet; how many.

    The ledger tells of most crossings itself (``credits.low``, ``credits.exhausted``); this finds the others: wallets
    without a threshold of their own, thresholds that were raised.
    """
    told = CreditAlert.objects.filter(organization_id=OuterRef("pk"), closed_at__isnull=True)
    exhausted = Q(left__lte=0) & ~Exists(told.filter(kind=AlertKind.EXHAUSTED))
    low = Q(left__gt=0, left__lt=F("threshold")) & ~Exists(told.filter(kind=AlertKind.LOW))
    found = _watched(at).filter(exhausted | low)[:limit]
    for account in found:
        with apart("credits.alert_failed", account.pk), transaction.atomic():
            event = publish(
                type=f"credits.{_shortage_of(account)}",
                organization_id=account.pk,
                data={"balance": account.balance, "threshold": account.threshold},
                actor=_ACTOR,
                at=at,
            )
            announce_shortage(event=event, at=at)
    return len(found)


@transaction.atomic
def announce_shortage(*, event: DomainEvent, at: datetime) -> int:
    """Write to the people of the wallet that ``event`` is about, unless they know or it is no longer short.

    The number of messages. Safe to call twice with one event.
    """
    account = _watched(at).filter(pk=event.organization_id).first()
    kind = _shortage_of(account) if account else None
    if account is None or kind is None:
        return 0
    if kind == AlertKind.EXHAUSTED:  # whoever knows that all is gone need not hear that little is left
        _open(account.pk, AlertKind.LOW, event.id, at)
    if not _open(account.pk, kind, event.id, at):
        return 0
    return _write(kind, account.pk, event.id, {"account": account}, at)


def close_shortages(*, at: datetime, organization_id: UUID | None = None) -> int:
    """End the shortages, of one wallet or of all, that are over; how many."""
    wallets = _watched(at) if organization_id is None else _watched(at).filter(pk=organization_id)
    of = wallets.filter(pk=OuterRef("organization_id"))
    low_is_over = Q(Exists(of.filter(left__gte=F("threshold"), left__gt=0)), kind=AlertKind.LOW)
    all_is_not_gone = Q(Exists(of.filter(left__gt=0)), kind=AlertKind.EXHAUSTED)
    return CreditAlert.objects.filter(low_is_over | all_is_not_gone, closed_at__isnull=True).update(closed_at=at)


def detect_expiring(*, at: datetime, limit: int = 500) -> int:
    """Announce credit that ends within EXPIRES_WITHIN, once per lot, gathered by wallet; how many lots.

    A tier's monthly credit is left out: it ends when the next one begins.
    """
    told = CreditAlert.objects.filter(
        organization_id=OuterRef("account_id"),
        kind=AlertKind.EXPIRING,
        subject=Cast(OuterRef("pk"), output_field=CreditAlert._meta.get_field("subject")),
    )
    ending = (
        Lot.objects.filter(expires_at__gt=at, expires_at__lte=at + EXPIRES_WITHIN, remaining__gte=_SMALLEST)
        .filter(account__organization__mode=Mode.LIVE, account__organization__is_suspended=False)
        .exclude(kind=LotKind.ALLOCATED)
        .exclude(Exists(told))
        .order_by("expires_at", "id")[:limit]
    )
    by_wallet: dict[UUID, list[Lot]] = defaultdict(list)
    for lot in ending:
        by_wallet[lot.account_id].append(lot)
    for organization_id, lots in by_wallet.items():
        with apart("credits.alert_failed", organization_id):
            _announce_end(organization_id, lots, at)
    return sum(map(len, by_wallet.values()))


@transaction.atomic
def _announce_end(organization_id: UUID, lots: list[Lot], at: datetime) -> None:
    total = sum((lot.remaining for lot in lots), Decimal(0))
    facts = [
        {"lot": lot.id, "kind": lot.kind, "remaining": lot.remaining, "expires_at": lot.expires_at} for lot in lots
    ]
    event = publish(
        type="credits.expiring",
        organization_id=organization_id,
        data={"total": total, "lots": facts},
        actor=_ACTOR,
        at=at,
    )
    if all(_open(organization_id, AlertKind.EXPIRING, event.id, at, str(lot.id)) for lot in lots):
        account = CreditAccount.objects.select_related("organization").get(pk=organization_id)
        _write(AlertKind.EXPIRING, organization_id, event.id, {"account": account, "lots": lots, "total": total}, at)
    else:  # another detector was faster with one of them: leave all to the next run
        transaction.set_rollback(True)


def _watched(at: datetime) -> QuerySet[Any]:
    """Wallets whose people are told: live, not suspended, with something in their past; with their threshold."""
    default = Value(settings.CREDITS_LOW_BALANCE, output_field=MoneyField())
    return (
        CreditAccount.objects.filter(organization__mode=Mode.LIVE, organization__is_suspended=False, entry_count__gt=0)
        .select_related("organization")
        .annotate(threshold=Coalesce("low_balance_at", default), left=F("balance") - pending_credit("pk", at))
        .order_by("pk")
    )


def _shortage_of(account: Any) -> AlertKind | None:
    if account.left <= 0:
        return AlertKind.EXHAUSTED
    return AlertKind.LOW if account.left < account.threshold else None


def _open(organization_id: UUID, kind: str, event_id: UUID, at: datetime, subject: str = "") -> bool:
    """Whether this event is the one that people are told of."""
    about: dict[str, Any] = {"organization_id": organization_id, "kind": kind, "subject": subject, "closed_at": None}
    alert, _ = CreditAlert.objects.get_or_create(**about, defaults={"event_id": event_id, "opened_at": at})
    return alert.event_id == event_id


def _write(kind: str, organization_id: UUID, event_id: UUID, about: dict[str, Any], at: datetime) -> int:
    people = wanting(billing_contacts(organization_id), EXPIRING if kind == AlertKind.EXPIRING else LOW)
    for person in people:
        context = {**about, "person": person, "address": settings.PUBLIC_URL}
        subject, body = letter(f"credits/mail/{kind}.txt", context)
        queue_email(
            key=f"{event_id}:{person.pk}",
            recipient=person.email,
            subject=subject,
            body=body,
            organization_id=organization_id,
            at=at,
        )
    return len(people)
