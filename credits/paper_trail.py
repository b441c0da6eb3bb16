"""What an entry did to which lots, and what was given back of it."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum

from core.money import ZERO
from credits.models import LedgerEntry, Lot


@dataclass(frozen=True, slots=True)
class Part:
    """The part of an entry that one lot gave or got; ``lot`` None is credit below zero."""

    kind: str
    amount: Decimal  # signed USD
    lot: Lot | None


def lots_of(entry: LedgerEntry) -> list[Part]:
    """Every lot that ``entry`` touched, in burn order."""
    lots = Lot.objects.in_bulk([line["lot"] for line in entry.allocations if line["lot"]])
    by_id = {str(key): lot for key, lot in lots.items()}
    return [Part(line["kind"], Decimal(line["amount"]), by_id.get(line["lot"] or "")) for line in entry.allocations]


def money_back(entry: LedgerEntry) -> Decimal:
    """How much of a charge refunds and reversals have returned, USD."""
    return entry.reversals.filter(amount__gt=0).aggregate(total=Sum("amount"))["total"] or ZERO
