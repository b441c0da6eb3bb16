"""An event as it should have been reported: the same shape, priced the same way."""

from datetime import datetime
from typing import Annotated

import msgspec

from metering.ingest.checks import InvalidEvent, check_event
from metering.ingest.decode import EVENT_FIELDS, decoder_of, malformed, problem_of_message
from metering.ingest.pricing import record_of
from metering.ingest.reporter import Reporter
from metering.ingest.shapes import TrackedEvent
from metering.metered.hits import checked_hits
from metering.models import UsageEvent
from metering.records import UsageRecord, hash_of
from tiers.querysets import metered_prices_at, terms_for


class CorrectionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why, and what the event should have been."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    event: TrackedEvent


_KNOWN = {"": "reason, event", "event": EVENT_FIELDS}
_decode = decoder_of(CorrectionRequest).decode


def decode_correction(body: bytes, at: datetime) -> CorrectionRequest:
    """The body of a correction. Raises MalformedJson, InvalidEvent."""
    try:
        asked = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidEvent([problem_of_message(str(error), _KNOWN)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    check_event(asked.event, at=at, has_nul=b"\\u0000" in body)
    for field in ("external_id", "hold_id"):
        if getattr(asked.event, field) is not None:
            raise InvalidEvent([(f"event.{field}", "not_allowed", "A corrected event keeps what the first one had.")])
    if "\x00" in asked.reason:
        raise InvalidEvent([("reason", "nul_character", "Text must not contain the NUL character.")])
    return asked


def replacement_of(event: UsageEvent, asked: CorrectionRequest, reporter: Reporter, *, at: datetime) -> UsageRecord:
    """The record that takes the place of ``event``, put down to the same key; time and member stay unless it names
    others. It counts on the meters of the tier under which the event was received. Raises the refusals of pricing.
    """
    content = hash_of(asked.event)
    asked.event.occurred_at = asked.event.occurred_at or event.occurred_at
    record = record_of(asked.event, reporter, terms_for(reporter.organization_id), at=at)
    record.metered = checked_hits(record, metered_prices_at(reporter.organization_id, event.received_at))
    record.content_hash = content
    record.source = event.source
    record.api_key_id = event.api_key_id
    record.member_id = asked.event.member_id or event.member_id
    if record.customer_id is None and record.external_customer_id is None:
        record.customer_id, record.external_customer_id = event.customer_id, event.external_customer_id
    record.parent_id = record.parent_id or event.parent_id
    return record
