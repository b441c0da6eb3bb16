"""The wallet as the overview draws it: what is there, its lots, and a mark that changes when it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q

from core.money import ZERO
from credits.balances import Balance, current_balance
from credits.models import CreditAccount, LedgerEntry, Lot
from credits.paper_trail import grants_of

LISTED = 6  # lots that are told one by one
_WIDTH = 100  # units across the bar


@dataclass(frozen=True, slots=True)
class Slice:
    """One lot's place in the bar, in hundredths of its width."""

    lot: Lot
    x: Decimal
    width: Decimal
    grant: LedgerEntry | None  # the entry that says where the lot came from


@dataclass(frozen=True, slots=True)
class Wallet:
    """Balance and the lots behind it, in burn order."""

    balance: Balance
    slices: list[Slice]
    running: int  # open holds


def wallet_of(organization_id: UUID, at: datetime) -> Wallet:
    """The wallet at ``at`` (now). Raises UnknownAccount."""
    balance = current_balance(organization_id, at)
    lots = list(Lot.objects.filter(account_id=organization_id).open(at))
    running = CreditAccount.objects.filter(pk=organization_id).aggregate(
        open=Count("holds", filter=Q(holds__status="open", holds__expires_at__gt=at))
    )
    return Wallet(balance, _slices(lots, grants_of(organization_id, lots[:LISTED])), running["open"])


def change_mark(organization_id: UUID) -> str:
    """Text that differs whenever money was posted or set aside; one cheap read."""
    row = CreditAccount.objects.filter(pk=organization_id).values_list("entry_count", "balance", "held").first()
    return "" if row is None else ".".join(str(value) for value in row)


def _slices(lots: list[Lot], grants: Mapping[str, LedgerEntry]) -> list[Slice]:
    whole = sum((lot.remaining for lot in lots), ZERO)
    found, x = [], ZERO
    for lot in lots:
        width = lot.remaining / whole * _WIDTH
        found.append(Slice(lot, round(x, 2), round(width, 2), grants.get(str(lot.id))))
        x += width
    return found
