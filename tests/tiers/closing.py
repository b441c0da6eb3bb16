"""Subscriptions whose periods are closed in tests."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from core.money import to_wire
from credits.models import CreditAccount, LedgerEntry, Lot, Statement
from credits.services import deduct_credits
from payments.models import Payment
from tests.builders import make_organization, usd
from tiers.close.models import PeriodClose
from tiers.close.paper import write_due_statements
from tiers.close.services import close_due
from tiers.close.waiting import finish_all_waiting
from tiers.models import Subscription, Tier
from tiers.services import begin_period

JANUARY = datetime(2026, 1, 31, 12, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 28, 12, tzinfo=UTC)
MARCH = datetime(2026, 3, 31, 12, tzinfo=UTC)
APRIL = datetime(2026, 4, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_numbers = count(1)


def make_tier(**fields: Any) -> Tier:
    """A tier that gives 30 USD a month for nothing."""
    fields = {"monthly_credit": Decimal(30), **fields}
    number = next(_numbers)
    return Tier.objects.create(**{"slug": f"tier{number}", "name": f"Tier {number}", **fields})


def make_subscription(tier: Tier | None = None, at: datetime = JANUARY, **fields: Any) -> Subscription:
    """A new organization on a tier since ``at``, without credit yet."""
    organization = fields.pop("organization", None) or make_organization(created_at=at)
    tier = tier or make_tier()
    if tier.overage_limit:
        CreditAccount.objects.filter(pk=organization.pk).update(overage_limit=tier.overage_limit)
    return Subscription.objects.begin(organization=organization, tier=tier, at=at, **fields)


def begin(tier: Tier | None = None, **fields: Any) -> Subscription:
    """A subscription with its first period's credit."""
    subscription = make_subscription(tier, **fields)
    begin_period(subscription=subscription, at=subscription.started_at)
    return subscription


def close_all(at: datetime) -> int:
    """Close what has ended, finish what waited, write the statements: as the jobs do."""
    closed = close_due(at=at)
    finish_all_waiting(at=at, limit=100)
    write_due_statements(at=at)
    return closed


def lots(organization_id: Any) -> list[tuple[Any, ...]]:
    rows = Lot.objects.filter(account_id=organization_id).order_by("effective_at", "kind")
    return [(lot.kind, lot.amount, lot.remaining, lot.effective_at, lot.expires_at) for lot in rows]


def spend(organization_id: Any, amount: str, at: datetime) -> None:
    deduct_credits(organization_id=organization_id, amount=usd(amount), reason="use", actor="test", at=at)


def balance(organization_id: Any) -> Decimal:
    return CreditAccount.objects.get(pk=organization_id).balance


def books(organization_id: Any) -> dict[str, Any]:
    """Everything in an organization's books that must not depend on when or how often the close ran.

    Left out: ids, numbers, and when rows were written.
    """
    order = {
        row.id: place
        for place, row in enumerate(Subscription.objects.filter(organization=organization_id).order_by("id"))
    }
    return {
        "account": _values(CreditAccount.objects.filter(pk=organization_id), "balance", "held", "overage", "excess"),
        "lots": sorted(
            _values(
                Lot.objects.filter(account_id=organization_id),
                "kind", "amount", "remaining", "held", "priority", "effective_at", "expires_at",
            ),
            key=repr,
        ),
        "entries": _entries(organization_id),
        "closes": [
            [order[row[0]], *row[1:]]
            for row in _values(
                PeriodClose.objects.filter(organization=organization_id).order_by("ends_at"),
                "subscription_id", "period_index", "starts_at", "ends_at", "expired", "rolled_over", "allocated",
                "overage_billed",
            )
        ],
        "subscriptions": _values(
            Subscription.objects.filter(organization=organization_id).order_by("id"),
            "tier__slug", "option", "status", "collection", "started_at", "ended_at", "end_reason", "anchor_at",
            "period_index", "period_starts_at", "period_ends_at",
        ),
        "payments": _values(
            Payment.objects.filter(organization=organization_id).order_by("created_at", "purpose", "amount"),
            "purpose", "status", "gross", "discount", "amount", "credits", "due_at",
        ),
        "statements": _values(
            Statement.objects.filter(organization=organization_id).order_by("number"),
            "number", "title", "starts_at", "ends_at", "opening", "closing", "overage", "lines", "usage",
        ),
    }  # fmt: skip


def _entries(organization_id: Any) -> list[Any]:
    found = []
    for entry in LedgerEntry.objects.filter(account_id=organization_id):
        parts = sorted((each["kind"], to_wire(Decimal(each["amount"]))) for each in entry.allocations)
        found.append([entry.effective_at, entry.kind, entry.amount, entry.reason, parts])
    return sorted(found, key=repr)


def _values(rows: Any, *columns: str) -> list[list[Any]]:
    return [list(row) for row in rows.values_list(*columns)]
