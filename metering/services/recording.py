"""Recording usage: one statement for a whole batch, each event whole or not at all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.db import connection

from core.jsonio import dumps_text
from core.money import ZERO
from credits.services import charge_item
from credits.upkeep import bring_up_to_date
from metering.records import UsageOutcome, UsageRecord, hash_of

# An event with a hold is unique by it; callers cannot use ids that begin so.
HOLD_KEY = "hold:"
_NO_KEY = UUID(int=0)
_STATEMENT = "SELECT * FROM record_usage(%s::jsonb, %s::uuid[], %s::jsonb, %s::jsonb, %s)"


def record_usage(events: Sequence[UsageRecord], *, at: datetime) -> list[UsageOutcome]:
    """Record each event once, with its charge (or its hold's settlement) and its sums; answer ``i`` is of event ``i``.

    One round trip and, unless the caller has opened one, one transaction. A refused event leaves no trace and can be
    sent again. ``at`` (UTC) is when the events were received and the money moves. A period that is
    over is closed first.
    """
    bring_up_to_date({event.organization_id for event in events}, at)
    return record_prepared(events, at=at)


def record_prepared(events: Sequence[UsageRecord], *, at: datetime) -> list[UsageOutcome]:
    """The same for a caller that has brought the wallets up to date (``credits.upkeep``)."""
    outcomes = [UsageOutcome(status="recorded", event_id=event.id) for event in events]
    if not events:
        return outcomes
    for row in _call(events, at):
        place, status, event_id, entry_id, charged, balance, held, available, excess = row
        outcomes[place - 1] = UsageOutcome(
            status=status,
            event_id=event_id,
            entry_id=entry_id,
            charged=charged or ZERO,
            balance=balance,
            held=held,
            available=available,
            excess=excess or ZERO,
        )
    return outcomes


def _call(events: Sequence[UsageRecord], at: datetime) -> list[tuple[Any, ...]]:
    for event in events:
        _identify(event)
    settlements, charges = _money_items(events)
    hashes = None
    if any(event.external_id is not None for event in events):
        hashes = [event.content_hash or _NO_KEY for event in events]
    parameters = [dumps_text(events), hashes, dumps_text(settlements), dumps_text(charges), at]
    connection.ensure_connection()
    # Values go beside the statement, not inside it: the server does not parse a megabyte of SQL.
    with psycopg.Cursor(connection.connection) as cursor, connection.wrap_database_errors:
        return cursor.execute(_STATEMENT, parameters).fetchall()


def _identify(event: UsageRecord) -> None:
    """Give an event with a hold its id, and every event with an id what the id stands for."""
    if event.external_id is None and event.hold_id is not None:
        event.external_id = f"{HOLD_KEY}{event.hold_id}"
        event.content_hash = hash_of([event.hold_id, event.charge])
    elif event.external_id is not None and event.content_hash is None:
        event.content_hash = hash_of(msgspec.structs.replace(event, id=_NO_KEY))


def _money_items(events: Sequence[UsageRecord]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the ledger is to settle and to charge; ``n`` is the event's place from 1."""
    settlements, charges = [], []
    for n, event in enumerate(events, 1):
        if event.hold_id is not None:
            settlements.append(
                {
                    "n": n,
                    "account": event.organization_id,
                    "hold": event.hold_id,
                    # Holds of gateway calls are settled by the gateway alone: a customer could settle one to nothing.
                    "is_gateway": event.source == "gateway",
                    "amount": event.charge,
                    "limit_amount": event.limit_amount,
                    "event": event.id,
                    "reason": _reason(event),
                    "actor": event.actor,
                }
            )
        elif event.charge > 0:
            item = charge_item(
                organization_id=event.organization_id,
                amount=event.charge,
                event_id=event.id,
                reason=_reason(event),
                actor=event.actor,
                limit_ids=event.limit_ids,
            )
            charges.append({"n": n, **item})
    return settlements, charges


def _reason(event: UsageRecord) -> str:
    return f"Usage: {event.name or event.model or event.kind}"
