"""The names of events as types: the list that clients offer to choose from."""

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.event_shapes import EventName
from billing_api.events import EventNameQuery, list_event_names
from billing_api.queries import Page, PageQuery


class EventType(msgspec.Struct, kw_only=True):
    """A name of events, how often they came, and when."""

    id: UUID  # always the same for a name
    created_at: datetime
    modified_at: None = None
    name: str
    label: str
    label_property_selector: None = None
    organization_id: UUID
    source: str
    occurrences: int
    first_seen: datetime
    last_seen: datetime


class EventTypeQuery(PageQuery, kw_only=True):
    """Which types."""

    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    query: str | None = None
    source: Literal["user", "system"] | None = None


@endpoint("GET", "event-types/", scope="events:read", query=EventTypeQuery, answer=PageOf(EventType))
def list_event_types(call: Call, query: EventTypeQuery) -> Page:
    """List the types of reported events with how often they came."""
    names = EventNameQuery(
        organization_id=query.organization_id,
        page=query.page,
        limit=query.limit,
        sorting=query.sorting,
        customer_id=query.customer_id,
        external_customer_id=query.external_customer_id,
        query=query.query,
        source=[query.source] if query.source else [],
    )
    page = list_event_names(call, names)
    page.items = [_type(call, each) for each in page.items]
    return page


def _type(call: Call, found: EventName) -> EventType:
    return EventType(
        id=uuid5(call.organization_id, found.name),
        created_at=found.first_seen,
        name=found.name,
        label=found.label,
        organization_id=call.organization_id,
        source=found.source,
        occurrences=found.occurrences,
        first_seen=found.first_seen,
        last_seen=found.last_seen,
    )
