"""Events as the wire carries them, in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

KB = 1024
LARGEST_INGEST = 24 * KB * KB
MOST_EVENTS = 10_000

Key = Annotated[str, Meta(min_length=1, max_length=40)]
OwnId = Annotated[str, Meta(min_length=1, max_length=255)]


class EventIn(msgspec.Struct, kw_only=True):
    """Something that a customer used. Exactly one of the two customer ids names whom it is counted for."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    customer_id: OwnId | None = None
    external_customer_id: OwnId | None = None
    external_id: OwnId | None = None
    parent_id: OwnId | None = None
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    metadata: Annotated[dict[Key, Any], Meta(max_length=50)] = {}


class EventsIngest(msgspec.Struct):
    """The body of an ingest request."""

    events: Annotated[list[EventIn], Meta(max_length=MOST_EVENTS)]


class RawEvents(msgspec.Struct):
    """The same with each event left as it came, to find out which of them do not fit."""

    events: Annotated[list[msgspec.Raw], Meta(max_length=MOST_EVENTS)]


class EventsIngested(msgspec.Struct):
    """How many events were stored now, and how many had been before."""

    inserted: int
    duplicates: int


class Event(msgspec.Struct, kw_only=True):
    """A stored event."""

    id: UUID
    timestamp: datetime
    organization_id: UUID
    customer_id: UUID | None
    customer: Any
    external_customer_id: str | None
    member_id: None = None
    external_member_id: None = None
    child_count: int = 0
    parent_id: UUID | None = None
    label: str
    name: str
    source: str
    metadata: dict[str, Any]


class EventName(msgspec.Struct, kw_only=True):
    """A name that events have, and when."""

    name: str
    source: str
    occurrences: int
    first_seen: datetime
    last_seen: datetime
    label: str
