"""Recording usage: one statement for a whole batch, each event whole or not at all."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from core.ids import text_of_id
from core.jsonio import dumps_text
from core.money import ZERO
from core.sqlcalls import Query, Row, run
from credits.upkeep import bring_up_to_date
from metering.records import UsageOutcome, UsageRecord, hash_of

# An event with a hold is unique by it; callers cannot use ids that begin so.
HOLD_KEY = "hold:"
_NO_KEY = UUID(int=0)
_STATEMENT = "SELECT * FROM record_usage($1::jsonb, $2::timestamptz)"


def record_usage(events: Sequence[UsageRecord], *, at: datetime) -> list[UsageOutcome]:
    """Record each event once, with its charge (or its hold's settlement) and its sums; answer ``i`` is of event ``i``.

    One round trip and, unless the caller has opened one, one transaction. A refused event leaves no trace and can be
    sent again. ``at`` (UTC) is when the events were received and the money moves. A period that is
    over is closed first.
    """
    if not events:
        return []
    bring_up_to_date({event.organization_id for event in events}, at)
    return usage_outcomes(events, rows=run(record_usage_query(events, at=at)))


def record_usage_query(events: Sequence[UsageRecord], *, at: datetime) -> Query:
    """What :func:`record_usage` asks the database, for a caller who has a connection of its own and has brought the
    wallets up to date (``credits.upkeep``)."""
    for event in events:
        _identify(event)
    return Query(_STATEMENT, (dumps_text(events), at))


def usage_outcomes(events: Sequence[UsageRecord], *, rows: Sequence[Row]) -> list[UsageOutcome]:
    """The answers that the rows of :func:`record_usage_query` stand for."""
    outcomes = [UsageOutcome(status="recorded", event_id=event.id) for event in events]
    for row in rows:
        place, status, event_id, entry_id, charged, balance, held, available, excess = row
        before = outcomes[place - 1]
        charged = charged or ZERO
        if status == "recorded":  # one row for the event's own charge, one for each meter that it adds to
            entry_id, charged = entry_id or before.entry_id, before.charged + charged
        outcomes[place - 1] = UsageOutcome(
            status=status,
            event_id=event_id,
            entry_id=entry_id,
            charged=charged,
            balance=balance,
            held=held,
            available=available,
            excess=max(excess or ZERO, before.excess),
        )
    return outcomes


def _identify(event: UsageRecord) -> None:
    """Give an event with a hold its id, and every event with an id what the id stands for."""
    if event.external_id is None and event.hold_id is not None:
        event.external_id = HOLD_KEY + text_of_id(event.hold_id)
        event.content_hash = hash_of([event.hold_id, event.charge])
    elif event.external_id is not None and event.content_hash is None:
        event.content_hash = hash_of(msgspec.structs.replace(event, id=_NO_KEY, metered=()))
