"""What is left where credit ends: read by whoever keeps periods, with the wallets' locks held."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from core.jsonio import dumps_text

_ENDED = """
WITH asked AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS (ord integer, account uuid, ends_at timestamptz)
)
SELECT coalesce((
           SELECT sum(-e.amount) FROM credits_ledgerentry e
           WHERE e.account_id = a.account AND e.kind = 'expiry'
                 AND e.posted_at >= a.ends_at AND e.effective_at = a.ends_at
                 AND e.allocations -> 0 ->> 'kind' = 'allocated'), 0),
       EXISTS (
           SELECT FROM credits_lot l
           WHERE l.account_id = a.account AND l.remaining > 0 AND l.expires_at <= a.ends_at),
       c.overage
FROM asked a JOIN credits_creditaccount c ON c.id = a.account
ORDER BY a.ord"""


@dataclass(slots=True, frozen=True)
class Ending:
    """A wallet at an instant at which allocated credit ends, in USD.

    ``expired`` is what the expiry of allocated lots that ended exactly then has taken so far; ``is_held``: holds still
    reserve credit that ended then or before, so more may follow. ``overage`` is owed below zero now.
    """

    expired: Decimal
    is_held: bool
    overage: Decimal


def sweep_wallets(organization_ids: Collection[UUID], at: datetime) -> None:
    """Lock the wallets until the transaction ends, and post what has run out in them by ``at``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT credits_begin(%s::uuid[], %s)", [list(organization_ids), at])


def read_endings(endings: Sequence[tuple[UUID, datetime]]) -> list[Ending]:
    """What is left of each wallet at each instant; the caller has swept the wallets."""
    asked = [{"ord": ord, "account": account, "ends_at": ends_at} for ord, (account, ends_at) in enumerate(endings)]
    with connection.cursor() as cursor:
        cursor.execute(_ENDED, [dumps_text(asked)])
        return [Ending(*row) for row in cursor.fetchall()]
