"""A key that is never quiet keeps its lost calls waiting: it is replaced, and falls silent when its last calls end.

Then its total tells exactly what the lost calls have cost, within the longest call and the provider's lag.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from accounts.principal import Actor
from openrouter.gateway.access import SUB_KEY
from openrouter.models import AccountStatus, Owed, ProviderAccount
from openrouter.recovery.totals import is_quiet
from openrouter.recovery.unresolved import Unresolved
from openrouter.services.lifecycle import rotate_key

log = structlog.get_logger(__name__)

# Since a lost call's end. Nearly every key has a quiet minute within it; the others' customers notice nothing.
PATIENCE = timedelta(minutes=15)


def replace_busy_keys(calls: Iterable[Unresolved], *, at: datetime) -> int:
    """Have the sub-keys replaced that are still used while calls made with them wait to be resolved; how many."""
    by_key: defaultdict[tuple[UUID, str], list[Unresolved]] = defaultdict(list)
    for call in calls:
        if call.ticket.key_kind == SUB_KEY:
            by_key[call.ticket.organization_id, call.ticket.key_hash].append(call)
    overdue = {key: group for key, group in by_key.items() if max(call.age(at) for call in group) >= PATIENCE}
    return sum(_replace(*key, {call.hold.id for call in group}, at) for key, group in overdue.items())


def _replace(organization_id: UUID, key_hash: str, calls: set[UUID], at: datetime) -> bool:
    current = ProviderAccount.objects.filter(
        organization_id=organization_id, hash=key_hash, status=AccountStatus.ACTIVE, owed=Owed.NOTHING
    )
    if not current.exists() or is_quiet(key_hash, calls):
        return False
    rotate_key(organization_id=organization_id, actor=Actor("recovery"), at=at)
    log.info("recovery.key_replaced", organization=str(organization_id), key=key_hash[:12], waiting=len(calls))
    return True
