"""How a balance went, day by day, and how it goes on if spending keeps its pace and nothing is added."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from core.money import ZERO
from credits.models import Lot

DAY = timedelta(days=1)
FARTHEST = 366  # days; what lasts longer has no date

# The last entry before each instant, found in the index: as many reads as there are instants, however long the ledger.
_BALANCES = """
SELECT last.balance_after
FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS asked(at, place)
LEFT JOIN LATERAL (
    SELECT entry.balance_after FROM credits_ledgerentry entry
    WHERE entry.account_id = %s AND entry.posted_at < asked.at
    ORDER BY entry.posted_at DESC, entry.number DESC LIMIT 1
) AS last ON true
ORDER BY asked.place"""


def posted_balances(organization_id: UUID, instants: Sequence[datetime]) -> list[Decimal | None]:
    """The posted balance (USD) just before each instant; None where the ledger had not begun. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_BALANCES, [list(instants), organization_id])
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is left, USD, after each of the coming days, and when nothing is; None: not within FARTHEST days."""

    left: list[Decimal]
    runs_out_at: datetime | None
    wasted: Decimal  # credit that expires unspent until then


@dataclass(slots=True)
class _Part:
    remaining: Decimal
    expires_at: datetime | None


def forecast(lots: Iterable[Lot], *, daily: Decimal, at: datetime, days: int) -> Forecast:
    """Spend ``daily`` USD a day from ``lots`` (in burn order) and let each end when it expires.

    The first ``days`` days are listed. New credit is not foreseen. Without spending, credit only ends by expiry.
    """
    parts = [_Part(lot.remaining, lot.expires_at) for lot in lots]
    left: list[Decimal] = []
    wasted, runs_out_at = ZERO, None
    for day in range(1, FARTHEST + 1):
        before = _sum(parts)
        _spend(parts, daily)
        ends = at + day * DAY
        wasted += _expire(parts, ends)
        rest = _sum(parts)
        if day <= days:
            left.append(rest)
        if not rest and before and runs_out_at is None:
            runs_out_at = ends - DAY + _part_of_day(before, daily)
        if not rest and day >= days:
            break
    return Forecast(left, runs_out_at, wasted)


def _sum(parts: Iterable[_Part]) -> Decimal:
    return sum((part.remaining for part in parts), ZERO)


def _spend(parts: Iterable[_Part], amount: Decimal) -> None:
    for part in parts:
        taken = min(part.remaining, amount)
        part.remaining -= taken
        amount -= taken


def _expire(parts: Iterable[_Part], at: datetime) -> Decimal:
    lost = ZERO
    for part in parts:
        if part.expires_at is not None and part.expires_at <= at:
            lost += part.remaining
            part.remaining = ZERO
    return lost


def _part_of_day(amount: Decimal, daily: Decimal) -> timedelta:
    """How far into a day ``amount`` reaches; the whole of it when expiry takes the rest."""
    return DAY if amount >= daily else timedelta(seconds=int(amount / daily * 86_400))
