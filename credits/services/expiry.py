"""What time takes away: lots past their end and API holds past their deadline.

Neither can be spent even if these never run: every write sweeps its own account first. They only make the books say so
in time.
"""

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from credits.models import Hold, HoldPurpose, Lot
from outbox.taskruns import apart

_BATCH = 200


def expire_lots(*, at: datetime, limit: int = _BATCH) -> int:
    """Post the expiry of up to ``limit`` accounts' lots; the number of movements. Safe to run twice."""
    accounts = Lot.objects.expired(at).values_list("account_id", flat=True).order_by().distinct()[:limit]
    return _sweep(list(accounts), at)


def expire_holds(*, at: datetime, limit: int = _BATCH) -> int:
    """Give back what overdue API holds of up to ``limit`` accounts reserved; gateway holds are left to recovery."""
    overdue = Hold.objects.open().filter(expires_at__lte=at, purpose=HoldPurpose.API)
    return _sweep(list(overdue.values_list("account_id", flat=True).order_by().distinct()[:limit]), at)


def _sweep(accounts: list[UUID], at: datetime) -> int:
    """One short transaction per account, so that no wallet waits for another's, also when that one fails."""
    swept = 0
    for account in accounts:
        with apart("credits.sweep_failed", account), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT credits_lock(ARRAY[%s::uuid])", [account])
            cursor.execute("SELECT credits_sweep(%s, %s)", [account, at])
            swept += cursor.fetchone()[0]
    return swept
