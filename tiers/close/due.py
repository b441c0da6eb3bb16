"""Whose period is over: asked before every movement, so mostly answered from memory."""

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from core.ttlcache import TtlCache
from tiers.close.models import PeriodClose
from tiers.models import Subscription

# When each organization's period ends. A change of tier can move that; it is seen within a second, as its terms are.
_ends: TtlCache[UUID, datetime] = TtlCache(seconds=0.8, size=50_000)
_NEVER = datetime.max.replace(tzinfo=UTC)


def find_due(organization_ids: Collection[UUID], at: datetime) -> list[UUID]:
    """Those with a period that has ended by ``at``, or with a rollover that waits; sorted, to be locked in order."""
    unknown = [each for each in organization_ids if not _is_known(each, at)]
    return sorted(_read(unknown, at)) if unknown else []


def forget_due(organization_ids: Collection[UUID]) -> None:
    """Ask the database about these the next time."""
    for organization_id in organization_ids:
        _ends.drop(organization_id)


def _is_known(organization_id: UUID, at: datetime) -> bool:
    try:
        return _ends.get(organization_id) > at
    except KeyError:
        return False


def _read(organization_ids: Collection[UUID], at: datetime) -> list[UUID]:
    waiting = PeriodClose.objects.waiting().filter(organization_id=OuterRef("organization_id"))
    rows = Subscription.objects.open().filter(organization__in=organization_ids)
    found = {
        organization_id: (ends_at, waits)
        for organization_id, ends_at, waits in rows.values_list("organization_id", "period_ends_at", Exists(waiting))
    }
    due = []
    for organization_id in organization_ids:
        ends_at, waits = found.get(organization_id, (_NEVER, False))
        if ends_at <= at or waits:
            due.append(organization_id)
        else:
            _ends.put(organization_id, ends_at)
    return due
