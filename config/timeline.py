"""All that happened to one organization, newest first: facts, movements of money, payments; usage only when asked for.

Each source is read by its own index, no further than one page; pages are cut by time and id, so they stay what they are
while rows are added.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from core.money import ZERO
from credits.models import EntryKind, LedgerEntry
from credits.templatetags.ledger import entry_title, kind_label
from outbox.models import DomainEvent
from payments.models import Payment

PAGE = 50
# The ledger says these itself, with the amount and the balance after it.
_SAID_BY_THE_LEDGER = ("credits.granted", "credits.refunded", "credits.expired", "credits.reversed", "credits.deducted")
_MOMENT = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*(?:Z|\+00:00)$")
# Which facts belong to which part, by how their types begin; all others are other news.
_PARTS: dict[str, tuple[str, ...]] = {
    "payments": ("payment", "auto_top_up.", "discount."),
    "tiers": ("tier.", "subscription.", "period.", "statement."),
    "coupons": ("coupon.",),
    "sales": ("billing.",),
    "keys": ("api_key.",),
    "people": ("organization.", "member."),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the timeline."""

    at: datetime
    id: UUID
    what: str  # a key of WHAT
    title: str
    detail: str
    actor: str
    amount: Decimal | None  # signed USD
    balance: Decimal | None
    address: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of it and where the next, older one begins; None at the end."""

    items: list[Item]
    older: str | None


WHAT = {
    "": _("Everything but usage"),
    "money": _("Movements"),
    "payments": _("Payments"),
    "tiers": _("Tiers"),
    "coupons": _("Coupons"),
    "sales": _("Own sales"),
    "keys": _("Keys"),
    "people": _("Organization and people"),
    "other": _("Other news"),
    "usage": _("Usage"),
}


def timeline_of(organization_id: UUID, *, what: str = "", before: str = "") -> Timeline:
    """The page of ``what`` (one of WHAT) that follows ``before``; text that is no position begins at the newest."""
    position = _position(before)
    items = [item for source in _sources(what) for item in source(organization_id, what, position)]
    items.sort(key=lambda item: (item.at, item.id), reverse=True)
    page = items[:PAGE]
    return Timeline(page, f"{page[-1].at.isoformat()}~{page[-1].id}" if len(items) > PAGE else None)


_Position = tuple[datetime, UUID] | None
_Source = Callable[[UUID, str, _Position], Iterator[Item]]


def _sources(what: str) -> list[_Source]:
    if what in ("money", "usage"):
        return [_movements]
    if what == "payments":
        return [_facts, _payments]
    return [_facts] if what else [_facts, _movements, _payments]


def _position(text: str) -> _Position:
    at, _tilde, row = text.partition("~")
    try:
        moment = datetime.fromisoformat(at)
        return (moment, UUID(row)) if moment.tzinfo else None
    except ValueError:
        return None


def _cut(rows: QuerySet[Any], at: str, position: _Position) -> QuerySet[Any]:
    """The next rows older than ``position``, one more than a page."""
    if position is not None:
        moment, row = position
        older = Q(**{f"{at}__lt": moment}) | Q(**{at: moment, "id__lt": row})
        rows = rows.filter(older, **{f"{at}__lte": moment})
    return rows.order_by(f"-{at}", "-id")[: PAGE + 1]


def _facts(organization_id: UUID, what: str, position: _Position) -> Iterator[Item]:
    events = DomainEvent.objects.filter(organization_id=organization_id).exclude(type__in=_SAID_BY_THE_LEDGER)
    if what in _PARTS:
        events = events.filter(_of_type(_PARTS[what]))
    elif what == "other":
        events = events.exclude(_of_type(sum(_PARTS.values(), ())))
    for event in _cut(events, "created_at", position):
        yield Item(
            at=event.created_at,
            id=event.id,
            what=_group_of(event.type),
            title=_title_of(event.type),
            detail=_words_of(event.data),
            actor=event.actor_label,
            amount=None,
            balance=None,
            address=reverse("admin:outbox_domainevent_change", args=[event.id]),
        )


def _of_type(prefixes: tuple[str, ...]) -> Q:
    found = Q(pk__in=[])
    for prefix in prefixes:
        found |= Q(type__startswith=prefix)
    return found


def _group_of(type: str) -> str:
    return next((part for part, prefixes in _PARTS.items() if type.startswith(prefixes)), "other")


def _title_of(type: str) -> str:
    """``api_key.created``: ``API key created``."""
    words = type.replace(".", " ").replace("_", " ")
    words = f"API{words[3:]}" if words.startswith("api ") else words.capitalize()
    return words.replace("Openrouter", "OpenRouter").replace("byok", "own key")


def _words_of(data: dict[str, Any]) -> str:
    """The plain facts of an event, without ids that only a program can use."""
    plain = {
        name.replace("_", " "): _MOMENT.sub(r"\1 \2", value) if isinstance(value, str) else value
        for name, value in data.items()
        if isinstance(value, str | int | bool) and value != "" and not _is_id(value)
    }
    return ", ".join(f"{name} {value}" for name, value in plain.items())


def _is_id(value: Any) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True


def _movements(organization_id: UUID, what: str, position: _Position) -> Iterator[Item]:
    entries = LedgerEntry.objects.filter(account_id=organization_id)
    usage = Q(kind=EntryKind.CHARGE)
    entries = entries.filter(usage if what == "usage" else ~usage)
    for entry in _cut(entries, "posted_at", position):
        yield Item(
            at=entry.posted_at,
            id=entry.id,
            what="usage" if what == "usage" else "money",
            title=kind_label(entry.kind),
            detail=entry_title(entry),
            actor=entry.actor,
            amount=entry.amount,
            balance=entry.balance_after,
            address=reverse("admin:credits_ledgerentry_change", args=[entry.id]),
        )


def _payments(organization_id: UUID, what: str, position: _Position) -> Iterator[Item]:
    for payment in _cut(Payment.objects.filter(organization_id=organization_id), "created_at", position):
        refunded = f", {payment.refunded.normalize():f} refunded" if payment.refunded > ZERO else ""
        yield Item(
            at=payment.created_at,
            id=payment.id,
            what="payments",
            title=f"{payment.get_purpose_display().capitalize()}: {payment.get_status_display().lower()}",
            detail=f"by {payment.provider}{refunded} {payment.failure_message}".strip(),
            actor=payment.requested_by,
            amount=payment.amount,
            balance=None,
            address=_address_of(payment),
        )


def _address_of(payment: Payment) -> str:
    from django.contrib.admin import site

    return reverse("admin:payments_payment_change", args=[payment.id]) if site.is_registered(Payment) else ""
