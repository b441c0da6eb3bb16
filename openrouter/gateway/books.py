"""The gateway's writes, each over a batch of concurrent calls: holds, settlements with attempts, progress notes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from core.ids import uuid7
from core.jsonio import dumps_text
from core.money import quantize
from credits.services import HoldOutcome, HoldRequest, place_holds
from credits.upkeep import bring_up_to_date
from metering.records import UsageOutcome, UsageRecord
from metering.services.recording import record_prepared
from openrouter.gateway.call import Try
from openrouter.gateway.ticket import Ticket

_ATTEMPTS = """
INSERT INTO openrouter_attempt (id, organization_id, hold_id, number, model, key_hash, generation_id, status_code,
                                error_type, cost, answered, started_at, duration_ms)
SELECT id, organization_id, hold_id, number, model, key_hash, generation_id, status_code, error_type, cost, answered,
       started_at, duration_ms
FROM jsonb_populate_recordset(NULL::openrouter_attempt, %s::jsonb)
ON CONFLICT (hold_id, number) DO NOTHING
"""
# A hold that somebody has locked is just being ended: nothing needs noting. Waiting for it, with other holds locked
# already, is how two batches could wait for each other.
_NOTES = """
WITH note AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(%s::jsonb) AS x (id uuid, patch jsonb)),
     running AS MATERIALIZED (
         SELECT id FROM credits_hold WHERE id IN (SELECT id FROM note) AND status = 'open'
         FOR NO KEY UPDATE SKIP LOCKED)
UPDATE credits_hold AS hold SET context = hold.context || note.patch
FROM note JOIN running USING (id)
WHERE hold.id = note.id
"""


@dataclass(slots=True)
class Settlement:
    """A call that has ended: its usage event, which settles its hold, and the requests it took."""

    record: UsageRecord
    attempts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Note:
    """Facts to be merged into the context of an open hold."""

    hold_id: UUID
    patch: dict[str, Any]


def place_batch(requests: list[HoldRequest]) -> list[HoldOutcome]:
    """Place holds; safe to repeat, a repetition is answered "replayed"."""
    return place_holds(requests, at=datetime.now(UTC))


def settle_batch(settlements: list[Settlement]) -> list[UsageOutcome]:
    """Record calls, settle their holds and note their attempts in one transaction; safe to repeat."""
    rows = [row for settlement in settlements for row in settlement.attempts]
    connection.ensure_connection()
    # Statements of one pipeline are one transaction. The attempts go first and are not waited for, so that the wallets'
    # locks, which come with the second statement, are held for one round trip only.
    server = connection.connection
    records, now = [settlement.record for settlement in settlements], datetime.now(UTC)
    bring_up_to_date({record.organization_id for record in records}, now)
    with connection.wrap_database_errors, server.pipeline(), psycopg.Cursor(server) as cursor:
        cursor.execute(_ATTEMPTS, [dumps_text(rows)])
        return record_prepared(records, at=now)


def note_batch(notes: list[Note]) -> list[bool]:
    """Write progress notes; of a hold that has ended nothing needs noting."""
    merged: dict[UUID, dict[str, Any]] = {}
    for note in notes:
        merged.setdefault(note.hold_id, {}).update(note.patch)
    with connection.cursor() as cursor:
        items = [{"id": hold_id, "patch": patch} for hold_id, patch in sorted(merged.items())]
        cursor.execute(_NOTES, [dumps_text(items)])
    return [True] * len(notes)


def attempt_rows(tries: Iterable[Try], ticket: Ticket) -> list[dict[str, Any]]:
    """Rows of ``Attempt`` for the requests of one call."""
    return [
        {
            "id": uuid7(),
            "organization_id": ticket.organization_id,
            "hold_id": ticket.id,
            "number": attempt.number,
            "model": attempt.model,
            "key_hash": ticket.key_hash,
            "generation_id": attempt.generation_id[:80],
            "status_code": attempt.status,
            "error_type": attempt.error_type[:60],
            "cost": None if attempt.cost is None else quantize(attempt.cost),
            "answered": attempt.answered,
            "started_at": attempt.started_at,
            "duration_ms": attempt.duration_ms,
        }
        for attempt in tries
    ]
