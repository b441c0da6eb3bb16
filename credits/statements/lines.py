"""What moved in a period, summed by code."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext_lazy as _

from core.jsonio import dumps_text
from core.money import ZERO

# In the order in which a statement shows them.
LABELS = {
    "granted.allocated": _("Monthly credit"),
    "granted.rollover": _("Rolled over from the period before"),
    "granted.purchased": _("Purchased credit"),
    "granted.bonus": _("Bonus credit"),
    "granted.refund": _("Refunded credit"),
    "usage": _("Usage"),
    "deducted": _("Deductions"),
    "refunded": _("Refunds of usage"),
    "reversed": _("Reversals"),
    "adjusted": _("Adjustments"),
    "voided": _("Credit taken back"),
    "expired": _("Expired credit"),
}
USAGE = "usage"


@dataclass(slots=True, frozen=True)
class Range:
    """A wallet's [starts_at, ends_at)."""

    organization_id: UUID
    starts_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class Sums:
    """A range in figures, USD: ``opening`` + sum of ``lines`` = ``closing``; ``overage`` is owed at the end."""

    opening: Decimal = ZERO
    closing: Decimal = ZERO
    overage: Decimal = ZERO
    lines: dict[str, Decimal] = field(default_factory=dict)


_RANGES = """
WITH asked AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
    AS (ord integer, organization_id uuid, starts_at timestamptz, ends_at timestamptz)
)"""
# Nothing counts from after it was posted, so the index on posted_at finds all that can count.
_MOVED = f"""{_RANGES}
SELECT a.ord,
       CASE e.kind WHEN 'grant' THEN 'granted.' || (e.allocations -> 0 ->> 'kind')
                   WHEN 'charge' THEN 'usage' WHEN 'deduction' THEN 'deducted' WHEN 'refund' THEN 'refunded'
                   WHEN 'reversal' THEN 'reversed' WHEN 'adjustment' THEN 'adjusted' WHEN 'void' THEN 'voided'
                   ELSE 'expired' END AS code,
       sum(e.amount)
FROM asked a JOIN credits_ledgerentry e ON e.account_id = a.organization_id AND e.posted_at >= a.starts_at
WHERE CASE e.kind WHEN 'expiry' THEN e.effective_at > a.starts_at AND e.effective_at <= a.ends_at
                  ELSE e.effective_at >= a.starts_at AND e.effective_at < a.ends_at END
GROUP BY 1, 2"""  # noqa: S608  (our own text only)
# What stands now, less what counts from later.
_END = f"""{_RANGES}
SELECT a.ord, c.balance - coalesce(later.moved, 0), c.overage + coalesce(later.below, 0)
FROM asked a JOIN credits_creditaccount c ON c.id = a.organization_id
LEFT JOIN LATERAL (
    SELECT sum(e.amount) AS moved, sum(part.below) AS below
    FROM credits_ledgerentry e
    LEFT JOIN LATERAL (
        SELECT sum(r.amount) AS below FROM jsonb_to_recordset(e.allocations) AS r (lot uuid, amount numeric)
        WHERE r.lot IS NULL
    ) part ON true
    WHERE e.account_id = a.organization_id AND e.posted_at >= a.ends_at
          AND (e.effective_at > a.ends_at OR e.effective_at = a.ends_at AND e.kind <> 'expiry')
) later ON true"""  # noqa: S608  (our own text only)


def sum_ranges(ranges: Sequence[Range]) -> list[Sums]:
    """The figures of each range, in two statements however many there are. A wallet that does not exist is all zero."""
    found = [Sums() for _ in ranges]
    asked = dumps_text(
        [
            {"ord": ord, "organization_id": each.organization_id, "starts_at": each.starts_at, "ends_at": each.ends_at}
            for ord, each in enumerate(ranges)
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, [asked])
        for ord, code, amount in cursor.fetchall():
            found[ord].lines[code] = amount
        cursor.execute(_END, [asked])
        for ord, closing, overage in cursor.fetchall():
            found[ord].closing, found[ord].overage = closing, overage
    for sums in found:
        sums.opening = sums.closing - sum(sums.lines.values(), ZERO)
        sums.lines = {code: sums.lines[code] for code in LABELS if code in sums.lines}
    return found
