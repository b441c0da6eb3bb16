"""Calendar-month statements: opening balance, what moved by kind, closing balance."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Sum
from django.db.models.functions import TruncMonth

from core.money import ZERO
from credits.models import LedgerEntry


@dataclass(slots=True, frozen=True)
class Statement:
    """One month [starts_at, ends_at); ``opening_balance`` + sum of ``movements`` = ``closing_balance`` (USD)."""

    month: str
    starts_at: datetime
    ends_at: datetime
    opening_balance: Decimal
    movements: dict[str, Decimal]
    closing_balance: Decimal


def monthly_statements(organization_id: UUID, zone: ZoneInfo) -> list[Statement]:
    """Every month with a movement, newest first; months are those of ``zone``."""
    sums = (
        LedgerEntry.objects.filter(account_id=organization_id)
        .annotate(month=TruncMonth("posted_at", tzinfo=zone))
        .values("month", "kind")
        .annotate(total=Sum("amount"))
        .order_by("month", "kind")
    )
    months: dict[datetime, dict[str, Decimal]] = {}
    for row in sums:
        months.setdefault(row["month"], {})[row["kind"]] = row["total"]
    statements, opening = [], ZERO
    for start, movements in months.items():
        closing = opening + sum(movements.values(), ZERO)
        statements.append(Statement(f"{start:%Y-%m}", start, _next_month(start), opening, movements, closing))
        opening = closing
    return statements[::-1]


def _next_month(start: datetime) -> datetime:
    years, month = divmod(start.month, 12)
    return start.replace(year=start.year + years, month=month + 1)
