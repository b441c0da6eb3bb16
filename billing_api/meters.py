"""Meters and what they come to."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.db.models import QuerySet
from msgspec import UNSET, Meta, UnsetType

from billing.models import Customer
from billing_api.bodies import Metadata, checked_metadata, sent
from billing_api.calls import Call
from billing_api.customers import own_organization
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound, invalid
from billing_api.objects.meters import Meter, meter_object
from billing_api.queries import Page, PageQuery, Query, narrowed, paginated, sorted_rows
from billing_api.wire import number
from metering.errors import TooFineGrained
from metering.meters.customers import CustomerRef
from metering.meters.models import Meter as Row
from metering.meters.quantities import quantities
from metering.services import create_meter, update_meter

Name = Annotated[str, Meta(min_length=3, max_length=128)]
Moment = Annotated[datetime, Meta(tz=True)]
_SORTED_BY = {"created_at": "created_at", "name": "name"}
_EXAMPLE = {
    "name": "llm-token-usage",
    "filter": {
        "conjunction": "and",
        "clauses": [{"property": "name", "operator": "eq", "value": "llm-usage"}],
    },
    "aggregation": {"func": "sum", "property": "totalTokens"},
}
# A function of ours that the clients have no word for; such meters belong to the native interface.
_NATIVE_ONLY = "latest"


class MeterCreate(msgspec.Struct, kw_only=True):
    """What to count. A filter is {conjunction, clauses}; an aggregation {func, property}."""

    name: Name
    filter: dict[str, Any]
    aggregation: dict[str, Any]
    metadata: Metadata = {}
    organization_id: UUID | None = None


class MeterUpdate(msgspec.Struct, kw_only=True):
    """What to change. What a meter counts can change only while nothing was counted."""

    name: Name | UnsetType | None = UNSET
    filter: dict[str, Any] | UnsetType | None = UNSET
    aggregation: dict[str, Any] | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    is_archived: bool | UnsetType | None = UNSET


class MeterQuery(PageQuery, kw_only=True):
    """Which meters; ``query`` is looked for in their names."""

    query: str | None = None
    is_archived: bool | None = None


class QuantitiesQuery(Query, kw_only=True):
    """Which events, by when they happened, in steps of what."""

    start_timestamp: Moment
    end_timestamp: Moment
    interval: Literal["hour", "day", "week", "month", "year"]
    timezone: str = "UTC"
    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    customer_aggregation_function: Literal["count", "sum", "avg", "min", "max"] | None = None


class Quantity(msgspec.Struct):
    """What one step comes to."""

    timestamp: datetime
    quantity: Decimal | int


class Quantities(msgspec.Struct):
    """A quantity for each step, and that of the whole range, which is no sum of them."""

    quantities: list[Quantity]
    total: Decimal | int


def meters_of(organization_id: UUID) -> QuerySet[Row]:
    """The merchant's meters that clients can read."""
    return Row.objects.filter(organization_id=organization_id).exclude(aggregation__func=_NATIVE_ONLY)


def meter_by_id(call: Call, id: UUID) -> Row:
    """The merchant's meter. Raises ResourceNotFound."""
    found = meters_of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return found


@endpoint("GET", "meters/", scope="meters:read", query=MeterQuery, answer=PageOf(Meter))
def list_meters(call: Call, query: MeterQuery) -> Page:
    """List meters, the newest first."""
    rows = narrowed(meters_of(call.organization_id), call.organization_id, query)
    if query.query:
        rows = rows.filter(name__icontains=query.query)
    if query.is_archived is not None:
        rows = rows.filter(archived_at__isnull=not query.is_archived)
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, lambda found: list(map(meter_object, found)))


@endpoint("POST", "meters/", scope="meters:write", status=201, body=MeterCreate, answer=Meter, example=_EXAMPLE)
def create_a_meter(call: Call, body: MeterCreate) -> Meter:
    """Create a meter. It counts what was reported before it as well."""
    own_organization(call, body.organization_id)
    _refuse_native(body.aggregation)
    row = create_meter(
        organization_id=call.organization_id,
        name=body.name,
        filter=body.filter,
        aggregation=body.aggregation,
        metadata=checked_metadata(body.metadata),
        actor=call.actor.label,
        at=call.at,
    )
    return meter_object(row)


@endpoint("GET", "meters/{id}", scope="meters:read", answer=Meter)
def get_meter(call: Call, id: UUID) -> Meter:
    """Get a meter."""
    return meter_object(meter_by_id(call, id))


@endpoint(
    "PATCH", "meters/{id}", scope="meters:write", body=MeterUpdate, answer=Meter, example={"name": "Tokens, all models"}
)
def update_a_meter(call: Call, id: UUID, body: MeterUpdate) -> Meter:
    """Change a meter, or archive it."""
    meter_by_id(call, id)
    fields = sent(body, *body.__struct_fields__)
    changes = {name: value for name, value in fields.items() if value is not None}
    if "metadata" in changes:
        changes["metadata"] = checked_metadata(changes["metadata"])
    _refuse_native(changes.get("aggregation", {}))
    row = update_meter(organization_id=call.organization_id, meter_id=id, actor=call.actor.label, at=call.at, **changes)
    return meter_object(row)


@endpoint("GET", "meters/{id}/quantities", scope="meters:read", query=QuantitiesQuery, answer=Quantities)
def get_quantities(call: Call, id: UUID, query: QuantitiesQuery) -> Quantities:
    """Get what a meter comes to over a range, step by step, by when the events happened."""
    meter = meter_by_id(call, id)
    try:
        found = quantities(
            meter=meter,
            start=query.start_timestamp,
            end=query.end_timestamp,
            interval=query.interval,
            zone=_zone(query.timezone),
            customers=_customer(call, query),
            metadata=query.metadata or None,
            across_customers=query.customer_aggregation_function,
        )
    except (TooFineGrained, OverflowError) as refusal:
        raise invalid(["query"], str(refusal) or "The range is too long.", "value_error") from None
    steps = [Quantity(bucket.start, number(bucket.quantity)) for bucket in found.buckets]
    return Quantities(steps, number(found.total))


def _refuse_native(aggregation: dict[str, Any]) -> None:
    if aggregation.get("func") == _NATIVE_ONLY:
        place: list[str | int] = ["body", "aggregation", "func"]
        raise invalid(place, "It is one of count, sum, avg, min, max, unique.", "enum", _NATIVE_ONLY)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise invalid(["query", "timezone"], "Unknown time zone.", "enum", name[:80]) from None


def _customer(call: Call, query: QuantitiesQuery) -> CustomerRef | None:
    """The one customer that is asked about, by both of his ids; None: all."""
    if len(query.customer_id) + len(query.external_customer_id) > 1:
        raise invalid(["query", "customer_id"], "Name one customer at most.")
    if query.customer_id:
        row = Customer.objects.of(call.organization_id).filter(id=query.customer_id[0]).first()
        return CustomerRef(query.customer_id[0], row.external_id if row else None)
    if query.external_customer_id:
        external_id = query.external_customer_id[0]
        row = Customer.objects.of(call.organization_id).filter(external_id=external_id).first()
        return CustomerRef(row.id if row else None, external_id)
    return None
