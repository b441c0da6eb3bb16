"""The gateway's writes, each over a batch of concurrent calls: holds, settlements with attempts, progress notes."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.db import connection

from core.ids import uuid7
from core.jsonio import dumps_text
from core.loopcommit import Batch
from core.money import quantize
from core.sqlcalls import Query
from credits.services import HoldOutcome, HoldRequest, hold_outcomes, place_holds_query
from credits.upkeep import bring_up_to_date
from metering.records import UsageOutcome, UsageRecord
from metering.services import record_usage_query, usage_outcomes
from openrouter.gateway.call import Call, Try
from openrouter.gateway.ticket import Ticket

_ATTEMPTS = """
INSERT INTO openrouter_attempt (id, organization_id, hold_id, number, model, key_hash, generation_id, status_code,
                                error_type, cost, answered, started_at, duration_ms)
SELECT id, organization_id, hold_id, number, model, key_hash, generation_id, status_code, error_type, cost, answered,
       started_at, duration_ms
FROM jsonb_populate_recordset(NULL::openrouter_attempt, $1::jsonb)
ON CONFLICT (hold_id, number) DO NOTHING
"""
# A hold that somebody has locked is just being ended: nothing needs noting. Waiting for it, with other holds locked
# already, is how two batches could wait for each other.
_NOTES = """
WITH note AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS x (id uuid, patch jsonb)),
     running AS MATERIALIZED (
         SELECT id FROM credits_hold WHERE id IN (SELECT id FROM note) AND status = 'open'
         FOR NO KEY UPDATE SKIP LOCKED)
UPDATE credits_hold AS hold SET context = hold.context || note.patch
FROM note JOIN running USING (id)
WHERE hold.id = note.id
"""


class Settlement(msgspec.Struct):
    """A call that has ended: its usage event, which settles its hold, and the requests it took."""

    record: UsageRecord
    attempts: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Note(msgspec.Struct):
    """Facts to be merged into the context of an open hold."""

    hold_id: UUID
    patch: dict[str, Any]


def settle_batch(settlements: Sequence[Settlement]) -> list[UsageOutcome]:
    """Record calls, settle their holds and note their attempts in one transaction; safe to repeat."""
    records = [settlement.record for settlement in settlements]
    bring_up_to_date({record.organization_id for record in records}, datetime.now(UTC))
    attempts, usage = _settle_queries(settlements)
    connection.ensure_connection()
    # Statements of one pipeline are one transaction.
    server = connection.connection
    with connection.wrap_database_errors, server.pipeline(), psycopg.RawCursor(server) as cursor:
        cursor.execute(attempts.text.encode(), attempts.values)
        rows = cursor.execute(usage.text.encode(), usage.values).fetchall()
    return usage_outcomes(records, rows=rows)


def note_batch(notes: Sequence[Note]) -> None:
    """Write progress notes; of a hold that has ended nothing needs noting."""
    [(text, values)] = _note_queries(notes)
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as cursor:
        cursor.execute(text.encode(), values)


def _hold_queries(requests: Sequence[HoldRequest]) -> list[Query]:
    return [place_holds_query(requests, at=datetime.now(UTC))]


def _settle_queries(settlements: Sequence[Settlement]) -> list[Query]:
    """Attempts first and not waited for, so that the wallets' locks, which come with the second statement, are held
    for one round trip only."""
    rows = [row for settlement in settlements for row in settlement.attempts]
    usage = record_usage_query([settlement.record for settlement in settlements], at=datetime.now(UTC))
    return [Query(_ATTEMPTS, (dumps_text(rows),)), usage]


def _note_queries(notes: Sequence[Note]) -> list[Query]:
    merged: dict[UUID, dict[str, Any]] = {}
    for note in notes:
        merged.setdefault(note.hold_id, {}).update(note.patch)
    items = [{"id": hold_id, "patch": patch} for hold_id, patch in sorted(merged.items())]
    return [Query(_NOTES, (dumps_text(items),))]


# How the gateway's event loop writes batches of calls. Safe to repeat: a repetition is answered as such. Wallets are
# brought up to date before (``periods.py``).
HOLDS: Batch[HoldRequest, HoldOutcome] = Batch(_hold_queries, lambda _, rows: hold_outcomes(rows[0]))
SETTLEMENTS: Batch[Settlement, UsageOutcome] = Batch(
    _settle_queries, lambda settlements, rows: usage_outcomes([each.record for each in settlements], rows=rows[0])
)
NOTES: Batch[Note, bool] = Batch(_note_queries, lambda notes, _: [True] * len(notes))


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


def unresolved_facts(call: Call) -> dict[str, object]:
    """What recovery must know of a call that has ended without a bill."""
    return {
        "ended_at": datetime.now(UTC),
        "status": call.status,
        "generation": call.reading.generation_id,
        "served": call.reading.model,
        "provider": call.reading.provider,
        "attempts": attempt_rows(call.tries, call.ticket),
    }
