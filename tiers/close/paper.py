"""Statements of closed periods, written in order, apart from the close itself: no wallet waits for them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Max, Min

from credits.models import Statement
from credits.statements import StatementRequest, write_statements
from outbox.taskruns import apart
from tiers.close.models import PeriodClose
from tiers.models import Subscription

log = structlog.get_logger(__name__)

_BATCH = 500


def write_due_statements(*, at: datetime, limit: int = 100_000) -> int:
    """Write the statement of up to ``limit`` closed periods that nothing can change any more; how many were written.

    Any number of writers may run at once. An organization whose statement cannot be written keeps no other waiting.
    """
    written = 0
    failed: set[UUID] = set()
    while written < limit:
        done = _write_batch(at, min(_BATCH, limit - written), failed)
        written += done
        if not done:
            break
    return written


def _write_batch(at: datetime, count: int, failed: set[UUID]) -> int:
    """One batch, or one by one where the batch does not go through; ``failed`` has the organizations to leave out."""
    try:
        return _write_some(at, count, failed)
    except Exception as error:
        log.warning("statements.batch_failed", error=repr(error))
    waiting = PeriodClose.objects.writable().exclude(organization__in=failed).order_by("ends_at")
    written = 0
    for organization_id in dict.fromkeys(waiting.values_list("organization_id", flat=True)):
        failed.add(organization_id)
        with apart("statement_not_written", organization_id):
            written += _write_some(at, 1, (), of=organization_id)
            failed.discard(organization_id)
        if written >= count:
            break
    return written


@transaction.atomic
def _write_some(at: datetime, count: int, failed: Collection[UUID], of: UUID | None = None) -> int:
    writable = PeriodClose.objects.writable().select_related("subscription__tier").exclude(organization__in=failed)
    if of is not None:
        writable = writable.filter(organization=of)
    # Claimed rows are looked at again after the lock: what another writer has just written drops out.
    closes = list(writable.select_for_update(of=("self",), no_key=True, skip_locked=True).order_by("ends_at")[:count])
    if not closes:
        return 0
    first = _starts([close.organization_id for close in closes])
    requests = [
        StatementRequest(
            organization_id=close.organization_id,
            starts_at=first[close.organization_id],
            ends_at=close.ends_at,
            title=close.subscription.tier.name,
            zone=close.subscription.zone,
        )
        for close in closes
    ]
    for close, statement in zip(closes, write_statements(requests, at=at), strict=True):
        close.statement = statement
    _note(closes)
    return len(closes)


def _note(closes: Sequence[PeriodClose]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tiers_periodclose c SET statement_id = n.statement"
            " FROM unnest(%s::uuid[], %s::uuid[]) AS n (id, statement) WHERE c.id = n.id",
            [[close.id for close in closes], [close.statement_id for close in closes]],
        )


def _starts(organization_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Where each one's next statement begins: at the end of its last, or with its first subscription.

    So no movement falls between two statements, also when a change of tier moved the boundaries.
    """
    begun = Subscription.objects.filter(organization__in=organization_ids).values_list("organization_id")
    written = Statement.objects.filter(organization__in=organization_ids).values_list("organization_id")
    return dict(begun.annotate(Min("started_at"))) | dict(written.annotate(Max("ends_at")))
