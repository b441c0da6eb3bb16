"""Recording what the customers of an organization use, and cutting their periods."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from core.errors import InvalidRequest
from core.jsonio import has_nul
from metering.customer_events import CustomerEvent, IngestResult, usage_of
from metering.customer_news import tell_of_usage
from metering.ingest.checks import RESERVED_IDS
from metering.metered.hits import checked_hits
from metering.records import UsageRecord
from metering.refusals import refuse
from metering.services.recording import record_usage
from tiers.errors import NoTier
from tiers.querysets import terms_for


@transaction.atomic
def ingest_events(*, organization_id: UUID, events: Sequence[CustomerEvent], at: datetime) -> IngestResult:
    """Record events of the organization's customers, received at ``at``: all or none.

    An ``external_id`` that the organization has used before, also earlier in ``events``, makes the event a duplicate,
    whatever it says; the first one stays. One statement records them: of two requests with the same ids one waits for
    the other. Raises InvalidRequest for text that cannot be kept and for ids that are Farebox's own, and where the
    organization's tier charges for such events AmountTooLarge, NegativeUsage and what the ledger refuses.
    """
    for place, event in enumerate(events):
        _refuse_reserved(place, event)
    records = [usage_of(event, organization_id, at=at) for event in events]
    if prices := _metered_prices(organization_id):
        for record in records:
            record.metered = checked_hits(record, prices)
    for place, record in enumerate(records):
        _refuse_nul(place, record)
    result = _record(records, at)
    if result.inserted:
        # Whoever reports the same customers' use waits for the commit alone.
        tell_of_usage(records, at=at)
    return result


def cut_off_usage(*, organization_id: UUID, at: datetime) -> datetime:
    """The instant at which periods of the organization's customers can be cut; call it first in a transaction.

    Events that are on their way into the books are waited for. Until the transaction ends no event of the
    organization's customers is recorded, and those recorded afterwards count as received at the answered instant or
    later: what ``received_at`` puts before it is complete. The answer is ``at``, or an earlier call's if that was
    later.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_cut_off(%s, %s)", [organization_id, at])
        cut: datetime = cursor.fetchone()[0]
    return cut


def _metered_prices(organization_id: UUID) -> tuple[Mapping[str, Any], ...]:
    """What the organization's own tier charges by meters; nothing without a tier."""
    try:
        return terms_for(organization_id).metered_prices
    except NoTier:
        return ()


def _record(records: Sequence[UsageRecord], at: datetime) -> IngestResult:
    result = IngestResult(inserted=0, duplicates=0, event_ids=[])
    for record, outcome in zip(records, record_usage(records, at=at), strict=True):
        if outcome.status == "recorded":
            result.inserted += 1
        elif outcome.status in ("duplicate", "key_reused"):
            result.duplicates += 1
        else:
            refuse(record, outcome)
        result.event_ids.append(outcome.event_id)
    return result


def _refuse_reserved(place: int, event: CustomerEvent) -> None:
    if event.external_id is not None and event.external_id.startswith(RESERVED_IDS):
        detail = f"Ids that begin with {' or '.join(RESERVED_IDS)} are Farebox's own."
        raise InvalidRequest(detail, index=place, field="external_id")


def _refuse_nul(place: int, record: UsageRecord) -> None:
    texts = (
        record.name,
        record.external_id,
        record.external_customer_id,
        record.parent_id,
        record.model,
        record.provider,
    )
    metadata = bytes(record.metadata) if record.metadata else b""  # type: ignore[arg-type]  # always Raw here
    if any(text and "\x00" in text for text in texts) or has_nul(metadata):
        raise InvalidRequest("Text must not contain the NUL character.", index=place)
