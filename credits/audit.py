"""The books checked against themselves: every figure that is kept is computed again from what it came from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(slots=True, frozen=True)
class Discrepancy:
    """One figure that is not what its parts say: ``rule`` names the check, ``subject`` the row."""

    rule: str
    organization_id: UUID
    subject: str
    kept: Decimal | None
    computed: Decimal | None


# Each query answers (organization, subject, kept, computed) for every row where the two differ.
_RULES = {
    "balance = sum of entries": """
        SELECT a.id, 'account', a.balance, coalesce(s.total, 0) FROM credits_creditaccount a
        LEFT JOIN (SELECT account_id, sum(amount) AS total FROM credits_ledgerentry {where_account} GROUP BY 1) s
            ON s.account_id = a.id
        WHERE a.balance <> coalesce(s.total, 0) {and_id}""",
    "balance = lots remaining - overage": """
        SELECT a.id, 'account', a.balance, coalesce(s.total, 0) - a.overage FROM credits_creditaccount a
        LEFT JOIN (SELECT account_id, sum(remaining) AS total FROM credits_lot {where_account} GROUP BY 1) s
            ON s.account_id = a.id
        WHERE a.balance <> coalesce(s.total, 0) - a.overage {and_id}""",
    "held = lots held + overage held": """
        SELECT a.id, 'account', a.held, coalesce(s.total, 0) + a.overage_held FROM credits_creditaccount a
        LEFT JOIN (SELECT account_id, sum(held) AS total FROM credits_lot {where_account} GROUP BY 1) s
            ON s.account_id = a.id
        WHERE a.held <> coalesce(s.total, 0) + a.overage_held {and_id}""",
    "held = open holds": """
        SELECT a.id, 'account', a.held, coalesce(s.total, 0) FROM credits_creditaccount a
        LEFT JOIN (SELECT account_id, sum(amount) AS total FROM credits_hold WHERE status = 'open' {and_account}
                   GROUP BY 1) s ON s.account_id = a.id
        WHERE a.held <> coalesce(s.total, 0) {and_id}""",
    "lot remaining = sum of its movements": """
        SELECT l.account_id, l.id::text, l.remaining, coalesce(s.total, 0) FROM credits_lot l
        LEFT JOIN (SELECT x.lot, sum(x.amount) AS total FROM credits_ledgerentry e,
                          jsonb_to_recordset(e.allocations) AS x (lot uuid, amount numeric) {where_account}
                   GROUP BY 1) s ON s.lot = l.id
        WHERE l.remaining <> coalesce(s.total, 0) {and_account}""",
    "lot held = open holds on it": """
        SELECT l.account_id, l.id::text, l.held, coalesce(s.total, 0) FROM credits_lot l
        LEFT JOIN (SELECT x.lot, sum(x.amount) AS total FROM credits_hold h,
                          jsonb_to_recordset(h.allocations) AS x (lot uuid, amount numeric)
                   WHERE h.status = 'open' {and_account} GROUP BY 1) s ON s.lot = l.id
        WHERE l.held <> coalesce(s.total, 0) {and_account}""",
    "entry = sum of its lots": """
        SELECT e.account_id, e.id::text, e.amount, coalesce(s.total, 0) FROM credits_ledgerentry e
        LEFT JOIN LATERAL (SELECT sum(x.amount) AS total
                           FROM jsonb_to_recordset(e.allocations) AS x (amount numeric)) s ON true
        WHERE e.amount <> coalesce(s.total, 0) {and_account}""",
    "balance after = balance before + amount, numbered without a gap": """
        SELECT e.account_id, e.id::text, e.balance_after, e.before + e.amount FROM (
            SELECT x.*, lag(x.balance_after, 1, 0) OVER w AS before, lag(x.number, 1, 0) OVER w AS last
            FROM credits_ledgerentry x {where_account} WINDOW w AS (PARTITION BY x.account_id ORDER BY x.number)) e
        WHERE e.balance_after <> e.before + e.amount OR e.number <> e.last + 1""",
    "refunds never exceed the charge": """
        SELECT e.account_id, e.id::text, -e.amount, s.total FROM credits_ledgerentry e
        JOIN (SELECT reverses_id, sum(amount) AS total FROM credits_ledgerentry WHERE reverses_id IS NOT NULL
              {and_account} GROUP BY 1) s ON s.reverses_id = e.id
        WHERE s.total > -e.amount""",
}

RULES: Sequence[str] = tuple(_RULES)


def audit_rule(rule: str, organization_id: UUID | None = None) -> Iterator[Discrepancy]:
    """Every row, of one organization or of all, that breaks ``rule``."""
    one = organization_id is not None
    query = _RULES[rule].format(
        where_account="WHERE account_id = %(id)s" if one else "",
        and_account="AND account_id = %(id)s" if one else "",
        and_id="AND a.id = %(id)s" if one else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(query, {"id": organization_id})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return (Discrepancy(rule, *row) for row in rows)


def audit_books(organization_id: UUID | None = None) -> list[Discrepancy]:
    """Everything that does not add up; empty when the books are right."""
    return [found for rule in RULES for found in audit_rule(rule, organization_id)]
