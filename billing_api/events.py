"""Events: reported, listed, and the names that they have."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import BooleanField, CharField, Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from msgspec import Meta

from billing.models import Customer, EventLabel, SystemEvent
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import Problem, RequestInvalid, ResourceNotFound, invalid
from billing_api.event_shapes import LARGEST_INGEST, Event, EventIn, EventName, EventsIngest, EventsIngested
from billing_api.ingest import read_events
from billing_api.meters import meters_of
from billing_api.objects.events import COLUMNS, event_objects
from billing_api.queries import Page, PageQuery, Pagination, narrowed, paginated
from billing_api.wire import decimal_of, decode, uuid_of
from metering.customer_events import CustomerEvent
from metering.errors import InvalidMeter
from metering.meters.compiling import Binder, condition, for_queryset
from metering.meters.grammar import Group, parse_filter
from metering.models import UsageEvent
from metering.services import ingest_events

Moment = Annotated[datetime, Meta(tz=True)]
Source = Literal["user", "system"]
_TABLE = UsageEvent._meta.db_table
_DEEPEST = 10
_LONGEST_FILTER = 20_000
_NAMES_SORTED_BY = {name: name for name in ("name", "label", "occurrences", "first_seen", "last_seen")}
_EXAMPLE = {
    "events": [
        {
            "name": "llm-usage",
            "external_customer_id": "user_42",
            "external_id": "req-9f1",
            "metadata": {"totalTokens": 1200, "model": "m-large"},
        }
    ]
}


class EventQuery(PageQuery, kw_only=True):
    """Which events. A customer's are those that name him by either id."""

    filter: str | None = None
    start_timestamp: Moment | None = None
    end_timestamp: Moment | None = None
    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    meter_id: UUID | None = None
    name: list[str] = []
    source: list[Source] = []
    query: str | None = None
    parent_id: UUID | None = None
    depth: Annotated[int, Meta(ge=0, le=_DEEPEST)] | None = None


class EventNameQuery(PageQuery, kw_only=True):
    """Which events' names."""

    name: list[str] = []
    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    source: list[Source] = []
    query: str | None = None


@endpoint(
    "POST",
    "events/ingest",
    scope="events:write",
    body=EventsIngest,
    reader=read_events,
    answer=EventsIngested,
    example=_EXAMPLE,
    surface="ingest",
    largest_body=LARGEST_INGEST,
)
def ingest(call: Call, body: list[EventIn]) -> EventsIngested:
    """Report events: all of a request or none.

    An `external_id` that was sent before is counted as a duplicate and changes nothing. Periods are counted by when an
    event is received; `timestamp` places it on charts and in lists.
    """
    ours = _customers_named(call, body)
    api_key_id = call.principal.api_key_id if call.principal else None
    events = [_event(each, ours, api_key_id) for each in body]
    result = ingest_events(organization_id=call.organization_id, events=events, at=call.at)
    return EventsIngested(result.inserted, result.duplicates)


def _customers_named(call: Call, events: list[EventIn]) -> dict[str, tuple[UUID | None, str | None]]:
    """For each ``customer_id`` sent: our id, or the merchant's own id, which some send there.

    Raises RequestInvalid for ids of the form of ours that nobody has.
    """
    named = {event.customer_id for event in events if event.customer_id is not None}
    if not named:
        return {}
    as_ids = {text: as_uuid for text in named if (as_uuid := uuid_of(text))}
    people = Customer.objects.of(call.organization_id).filter(Q(id__in=as_ids.values()) | Q(external_id__in=named))
    by_id, external = set(), set()
    for customer_id, external_id in people.values_list("id", "external_id"):
        by_id.add(customer_id)
        external.add(external_id)
    found: dict[str, tuple[UUID | None, str | None]] = {}
    for text in named:
        if as_ids.get(text) in by_id:
            found[text] = (as_ids[text], None)
        elif text in external or text not in as_ids:
            found[text] = (None, text)
    if len(found) < len(named):
        raise RequestInvalid(
            [
                Problem(
                    ["body", "events", index, "customer_id"], "Customer not found.", "customer_id", event.customer_id
                )
                for index, event in enumerate(events)
                if event.customer_id is not None and event.customer_id not in found
            ]
        )
    return found


def _event(sent: EventIn, ours: dict[str, tuple[UUID | None, str | None]], api_key_id: UUID | None) -> CustomerEvent:
    if sent.customer_id is None:
        customer_id, external_customer_id = None, sent.external_customer_id
    else:
        customer_id, external_customer_id = ours[sent.customer_id]
    if "_cost" in sent.metadata:
        cost = sent.metadata["_cost"]
        sent.metadata["_cost"] = {"amount": decimal_of(cost["amount"]), "currency": "usd"}
    return CustomerEvent(
        name=sent.name,
        customer_id=customer_id,
        external_customer_id=external_customer_id,
        external_id=sent.external_id,
        parent_id=sent.parent_id,
        occurred_at=sent.timestamp,
        metadata=sent.metadata,
        api_key_id=api_key_id,
    )


@endpoint("GET", "events/", scope="events:read", query=EventQuery, answer=PageOf(Event))
def list_events(call: Call, query: EventQuery) -> Page:
    """List events, the latest first: those that were reported, and what was noted of customers."""
    order = _order(query.sorting)
    rows = _usage(call, query).values(*COLUMNS)
    if "user" not in (query.source or ["user"]):
        rows = rows.none()
    if _asks_for_system_events(query):
        rows = rows.union(_noted(call, query), all=True)
    total = rows.count()
    limit = min(query.limit, 100)
    first = (query.page - 1) * limit
    found = list(rows.order_by(*order)[first : first + limit]) if first < total else []
    return Page(event_objects(call.organization_id, found), Pagination(total, -(-total // limit)))


@endpoint("GET", "events/names", scope="events:read", query=EventNameQuery, answer=PageOf(EventName))
def list_event_names(call: Call, query: EventNameQuery) -> Page:
    """List the names that reported events have, and how often."""
    wanted = EventQuery(
        organization_id=query.organization_id,
        customer_id=query.customer_id,
        external_customer_id=query.external_customer_id,
        name=query.name,
        query=query.query,
        metadata=query.metadata,
    )
    rows = _usage(call, wanted).exclude(name="")
    if "user" not in (query.source or ["user"]):
        rows = rows.none()
    own = EventLabel.objects.filter(organization_id=call.organization_id, name=OuterRef("name")).values("label")
    names = (
        rows.order_by()
        .values("name")
        .annotate(
            occurrences=Count("id"),
            first_seen=Min("occurred_at"),
            last_seen=Max("occurred_at"),
            label=Coalesce(Subquery(own), F("name")),
        )
    )
    order = [f"-{each[1:]}" if each.startswith("-") else each for each in query.sorting] or ["-last_seen"]
    if unknown := [place for place, each in enumerate(order) if each.lstrip("-") not in _NAMES_SORTED_BY]:
        raise invalid(["query", "sorting", unknown[0]], "Cannot be sorted by that.", "enum")
    return paginated(
        names.order_by(*order, "name"),
        query,
        lambda found: [EventName(source="user", **row) for row in found],
    )


@endpoint("GET", "events/{id}", scope="events:read", answer=Event)
def get_event(call: Call, id: UUID) -> Event:
    """Get an event."""
    usage = UsageEvent.objects.filter(organization_id=call.organization_id, id=id, voided_at__isnull=True)
    noted = _as_usage(SystemEvent.objects.filter(organization_id=call.organization_id, id=id))
    row = usage.values(*COLUMNS).first() or noted.first()
    if row is None:
        raise ResourceNotFound()
    return event_objects(call.organization_id, [row])[0]


def _order(sorting: list[str]) -> list[str]:
    sign = {"": "-", "timestamp": "", "-timestamp": "-"}.get(sorting[0] if sorting else "")
    if sign is None:
        raise invalid(["query", "sorting", 0], "Events are sorted by timestamp.", "enum", sorting[0])
    return [f"{sign}occurred_at", f"{sign}id"]


def _asks_for_system_events(query: EventQuery) -> bool:
    """Whether what Farebox noted can be among the events: it is in no meter, no tree, and fits no filter."""
    narrow = (query.filter, query.meter_id, query.parent_id)
    return "system" in (query.source or ["system"]) and all(each is None for each in narrow)


def _noted(call: Call, query: EventQuery) -> QuerySet[Any, Any]:
    rows = narrowed(SystemEvent.objects.filter(organization_id=call.organization_id), call.organization_id, query)
    return _as_usage(_chosen(call, rows, query))


def _as_usage(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    """What was noted, with the columns of usage."""
    nothing = Value(None, output_field=CharField())
    extra = {"source": Value("system"), "kind": Value("system"), "external_id": nothing, "parent_id": nothing}
    return rows.order_by().annotate(**extra).values(*COLUMNS)


def _usage(call: Call, query: EventQuery) -> QuerySet[UsageEvent]:
    rows = UsageEvent.objects.filter(organization_id=call.organization_id, voided_at__isnull=True).order_by()
    rows = _chosen(call, narrowed(rows, call.organization_id, query), query)
    for group in _filters(call, query):
        rows = rows.filter(_sql_condition(group))
    if query.parent_id is not None:
        return rows.filter(id__in=_descendants(call.organization_id, query.parent_id, query.depth or 1))
    return rows.filter(parent_id__isnull=True) if query.depth == 0 else rows


def _chosen(call: Call, rows: QuerySet[Any], query: EventQuery) -> QuerySet[Any]:
    """What usage and notes are chosen by alike."""
    if query.start_timestamp is not None:
        rows = rows.filter(occurred_at__gte=query.start_timestamp)
    if query.end_timestamp is not None:
        rows = rows.filter(occurred_at__lt=query.end_timestamp)
    if query.name:
        rows = rows.filter(name__in=query.name)
    if query.query:
        rows = rows.filter(name__icontains=query.query)
    if query.customer_id or query.external_customer_id:
        rows = rows.filter(_of_customers(call.organization_id, query.customer_id, query.external_customer_id))
    return rows


def _of_customers(organization_id: UUID, ids: list[UUID], external_ids: list[str]) -> Q:
    """Events that name one of these customers by either id."""
    people = Customer.objects.of(organization_id).filter(Q(id__in=ids) | Q(external_id__in=external_ids))
    wanted = Q(customer_id__in=ids) | Q(external_customer_id__in=external_ids)
    for customer in people:
        theirs = Q(external_customer_id=customer.external_id) if customer.external_id else Q(pk__in=[])
        if customer.usage_since:
            theirs &= Q(received_at__gte=customer.usage_since)
        wanted |= Q(customer_id=customer.id) | theirs
    return wanted


def _filters(call: Call, query: EventQuery) -> list[Group]:
    found = []
    if query.meter_id is not None:
        meter = meters_of(call.organization_id).filter(id=query.meter_id).first()
        if meter is None:
            raise invalid(["query", "meter_id"], "Meter not found.", "value_error", str(query.meter_id))
        found.append(meter.definition.filter)
    if query.filter:
        found.append(_parsed(query.filter))
    return found


def _parsed(text: str) -> Group:
    if len(text) > _LONGEST_FILTER:
        raise invalid(["query", "filter"], "The filter is too long.")
    try:
        return parse_filter(decode(text.encode(), dict[str, Any]))
    except RequestInvalid as refusal:
        raise invalid(["query", "filter"], str(refusal.detail[0].msg), "json_invalid") from None  # type: ignore[union-attr]
    except InvalidMeter as refusal:
        problems = [Problem(["query", *place], words, code) for place, code, words in refusal.problems]
        raise RequestInvalid(problems) from None


def _sql_condition(group: Group) -> RawSQL:
    bind = Binder()
    text, values = for_queryset(condition(group, bind), bind, _TABLE)
    return RawSQL(text, values, output_field=BooleanField())  # noqa: S611  (every value of it is bound)


def _descendants(organization_id: UUID, root: UUID, depth: int) -> list[UUID]:
    """The events below ``root``, ``depth`` levels deep."""
    found: list[UUID] = []
    level = {root}
    for _ in range(depth):
        keys = {str(each) for each in level} | set(_external_ids(organization_id, level))
        level = set(
            UsageEvent.objects.filter(organization_id=organization_id, parent_id__in=keys).values_list("id", flat=True)
        ) - set(found)
        found.extend(level)
        if not level:
            break
    return found


def _external_ids(organization_id: UUID, ids: set[UUID]) -> list[str]:
    rows = UsageEvent.objects.filter(organization_id=organization_id, id__in=ids)
    return [external_id for external_id in rows.values_list("external_id", flat=True) if external_id]
