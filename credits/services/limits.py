"""The ceilings of API keys, over the whole life of a key and its successors."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum

from accounts.actors import key_actor
from accounts.models import ApiKey
from core.money import ZERO
from credits.ceilings import spent_by_keys
from credits.models import Hold, SpendLimit
from credits.services.accounts import lock_account

# Calls of the gateway say whose they are and with whose key they are paid: a customer's own counts for no credit.
# Other holds name the key that placed them as the audit trail does.
_ADOPT = """
    UPDATE credits_hold h SET limit_ids = h.limit_ids || %(limit)s::uuid
    WHERE h.account_id = %(account)s AND h.status = 'open' AND %(limit)s <> ALL (h.limit_ids)
          AND CASE h.purpose
              WHEN 'api' THEN h.context ->> 'actor' = ANY (%(actors)s)
              ELSE h.context ->> 'api_key_id' = ANY (%(keys)s) AND h.context ->> 'key_kind' <> 'own' END
"""
_WITHOUT_EVENTS = """
    SELECT coalesce(sum(h.settled_amount), 0)
    FROM credits_hold h
    JOIN credits_ledgerentry e ON e.account_id = h.account_id AND e.key = 'hold:' || h.id
    WHERE h.account_id = %(account)s AND h.purpose = 'api' AND h.status = 'settled'
          AND e.event_id IS NULL AND h.context ->> 'actor' = ANY (%(actors)s)
"""


@transaction.atomic
def set_spend_limit(*, organization_id: UUID, limit_id: UUID, ceiling: Decimal) -> SpendLimit:
    """Put a hard ceiling (USD, for life) on what ``limit_id`` may spend; keeps what it has spent so far.

    Where there was none, what its keys have spent since they were made counts, and what their running calls reserve.
    """
    lock_account(organization_id)
    limit = SpendLimit.objects.filter(pk=limit_id).first()
    spent, held = (limit.spent, limit.held) if limit else _so_far(organization_id, limit_id)
    now = {"account_id": organization_id, "ceiling": ceiling, "excess": max(spent + held - ceiling, ZERO)}
    return SpendLimit.objects.update_or_create(id=limit_id, defaults={**now, "spent": spent, "held": held})[0]


@transaction.atomic
def remove_spend_limit(*, organization_id: UUID, limit_id: UUID) -> None:
    """Lift the ceiling of ``limit_id``."""
    lock_account(organization_id)
    SpendLimit.objects.filter(account_id=organization_id, id=limit_id).delete()


def _so_far(organization_id: UUID, limit_id: UUID) -> tuple[Decimal, Decimal]:
    """What counts for a limit that was not there: spent, and reserved by open holds, which it takes over."""
    line = dict(
        ApiKey.objects.filter(organization_id=organization_id, spend_limit_id=limit_id).values_list("id", "prefix")
    )
    spent = ZERO
    if line:
        values: dict[str, Any] = {
            "account": organization_id,
            "limit": limit_id,
            "keys": [str(key) for key in line],
            "actors": [key_actor(prefix) for prefix in line.values()],
        }
        with connection.cursor() as cursor:
            cursor.execute(_ADOPT, values)
            cursor.execute(_WITHOUT_EVENTS, values)
            spent = spent_by_keys(organization_id, list(line)) + cursor.fetchone()[0]
    running = Hold.objects.filter(account_id=organization_id, status="open", limit_ids__contains=[limit_id])
    return spent, running.aggregate(total=Sum("limit_amount"))["total"] or ZERO
