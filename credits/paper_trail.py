"""What an entry did to which lots, and what was given back of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from core.money import ZERO
from credits.models import LedgerEntry, Lot


@dataclass(frozen=True, slots=True)
class Part:
    """The part of an entry that one lot gave or got; ``lot`` None is credit below zero. ``reason`` is what the lot was
    granted for, for example a coupon."""

    kind: str
    amount: Decimal  # signed USD
    lot: Lot | None
    reason: str = ""


def lots_of(entry: LedgerEntry) -> list[Part]:
    """Every lot that ``entry`` touched, in burn order."""
    lots = Lot.objects.in_bulk([line["lot"] for line in entry.allocations if line["lot"]])
    by_id = {str(key): lot for key, lot in lots.items()}
    grants = grants_of(entry.account_id, by_id.values())
    return [
        Part(line["kind"], Decimal(line["amount"]), by_id.get(line["lot"] or ""), _reason_of(grants.get(line["lot"])))
        for line in entry.allocations
    ]


def grants_of(account_id: UUID, lots: Iterable[Lot]) -> dict[str, LedgerEntry]:
    """The entry that granted each lot, by the lot's id: it was posted at the same instant."""
    instants = {lot.created_at for lot in lots}
    made = LedgerEntry.objects.filter(account_id=account_id, posted_at__in=instants, amount__gt=0)
    entries = made.only("account_id", "reason", "allocations") if instants else []
    return {line["lot"]: entry for entry in entries for line in entry.allocations if line["lot"]}


def _reason_of(grant: LedgerEntry | None) -> str:
    return grant.reason if grant else ""


def money_back(entry: LedgerEntry) -> Decimal:
    """How much of a charge refunds and reversals have returned, USD."""
    return entry.reversals.filter(amount__gt=0).aggregate(total=Sum("amount"))["total"] or ZERO
