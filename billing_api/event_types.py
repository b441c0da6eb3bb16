"""The names of events as types: the list that clients offer to choose from."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billing.models import EventLabel
from billing.services import label_events
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound
from billing_api.event_shapes import EventName
from billing_api.events import EventNameQuery, list_event_names
from billing_api.objects.events import labels_of
from billing_api.queries import Page, PageQuery
from metering.models import UsageEvent


class EventType(msgspec.Struct, kw_only=True):
    """A name of events, how often they came, and when."""

    id: UUID  # always the same for a name
    created_at: datetime
    modified_at: datetime | None
    name: str
    label: str
    label_property_selector: str | None
    organization_id: UUID
    source: str
    occurrences: int
    first_seen: datetime
    last_seen: datetime


class EventTypeUpdate(msgspec.Struct, kw_only=True):
    """What to call the events; ``label_property_selector``: a path into their metadata, what it finds goes first."""

    label: Annotated[str, Meta(min_length=1, max_length=128)]
    label_property_selector: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET


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
    page.items = _types(call, page.items)
    return page


@endpoint(
    "PATCH",
    "event-types/{id}",
    scope="events:write",
    body=EventTypeUpdate,
    answer=EventType,
    example={"label": "Tokens used", "label_property_selector": "model"},
)
def update_event_type(call: Call, id: UUID, body: EventTypeUpdate) -> EventType:
    """Say what events of a name are called where they are listed."""
    name = _name_of(call, id)
    if name is None:
        raise ResourceNotFound()
    selector = body.label_property_selector
    if isinstance(selector, UnsetType):
        before = labels_of(call.organization_id, [name]).get(name)
        selector = before.selector if before else ""
    label_events(organization_id=call.organization_id, name=name, label=body.label, selector=selector or "", at=call.at)
    found = list_event_names(call, EventNameQuery(name=[name])).items
    return _types(call, found)[0]


def _name_of(call: Call, id: UUID) -> str | None:
    """The name that the id is made of, among those that the merchant's events have."""
    events = UsageEvent.objects.filter(organization_id=call.organization_id, voided_at__isnull=True).exclude(name="")
    names = events.order_by().values_list("name", flat=True).distinct()
    return next((name for name in names.iterator() if uuid5(call.organization_id, name) == id), None)


def _types(call: Call, found: list[EventName]) -> list[EventType]:
    labels = labels_of(call.organization_id, (each.name for each in found))
    return [_type(call, each, labels.get(each.name)) for each in found]


def _type(call: Call, found: EventName, label: EventLabel | None) -> EventType:
    return EventType(
        id=uuid5(call.organization_id, found.name),
        created_at=found.first_seen,
        modified_at=label.modified_at if label else None,
        name=found.name,
        label=found.label,
        label_property_selector=(label.selector or None) if label else None,
        organization_id=call.organization_id,
        source=found.source,
        occurrences=found.occurrences,
        first_seen=found.first_seen,
        last_seen=found.last_seen,
    )
