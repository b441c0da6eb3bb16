"""Webhook endpoints of a merchant, what was sent to them, and sending it again."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from msgspec import UNSET, Meta, UnsetType

from billing_api.calls import Call
from billing_api.customers import own_organization
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import Problem, RequestInvalid, ResourceNotFound
from billing_api.objects.webhooks import (
    WebhookDelivery,
    WebhookEndpoint,
    delivery_object,
    endpoint_object,
)
from billing_api.queries import Page, PageQuery, of_merchant, paginated, sorted_rows
from billing_api.webhook_types import CLIENT_TYPES
from outbox.models import WebhookDelivery as DeliveryRow
from outbox.models import WebhookEndpoint as EndpointRow
from outbox.webhooks.services import (
    Wish,
    create_endpoint,
    delete_endpoint,
    disable_endpoint,
    enable_endpoint,
    redeliver_event,
    rotate_secret,
    update_endpoint,
)

ENDPOINTS, ONE = "webhooks/endpoints", "webhooks/endpoints/{id}"
READ, WRITE = "webhooks:read", "webhooks:write"
Moment = Annotated[datetime, Meta(tz=True)]
Secret = Annotated[str, Meta(min_length=32, max_length=200)]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Name = Annotated[str, Meta(max_length=80)]
_SORTED_BY = {"created_at": "created_at"}
_CODES = {"2xx": (200, 299), "3xx": (300, 399), "4xx": (400, 499), "5xx": (500, 599)}


class WebhookEndpointCreate(msgspec.Struct, kw_only=True):
    """Where to send, and what. The secret is made here unless one is given."""

    url: Url
    format: Literal["raw"]
    events: list[str]
    name: Name | None = None
    secret: Secret | None = None
    organization_id: UUID | None = None


class WebhookEndpointUpdate(msgspec.Struct, kw_only=True):
    """What to change; ``enabled: true`` also sends what was lost in the last three days."""

    url: Url | UnsetType | None = UNSET
    format: Literal["raw"] | UnsetType | None = UNSET
    events: list[str] | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    secret: Secret | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET


class DeliveryQuery(PageQuery, kw_only=True):
    """Which attempts."""

    endpoint_id: list[UUID] = []
    start_timestamp: Moment | None = None
    end_timestamp: Moment | None = None
    succeeded: bool | None = None
    query: str | None = None
    http_code_class: Literal["2xx", "3xx", "4xx", "5xx"] | None = None
    event_type: list[str] = []


class Redelivery(msgspec.Struct):
    """To how many endpoints an event goes again."""

    endpoints: int


def _endpoints(call: Call) -> QuerySet[EndpointRow]:
    """The merchant's endpoints that these clients can read: one that has chosen native types is none of theirs."""
    rows = EndpointRow.objects.of(call.organization_id).only_types(CLIENT_TYPES).without_secrets()
    return rows.annotate(stored_secret=Cast("secret", TextField()))


def _shown(rows: list[Any]) -> list[WebhookEndpoint]:
    return [endpoint_object(row, row.stored_secret) for row in rows]


def _one(call: Call, id: UUID) -> WebhookEndpoint:
    found = _shown(list(_endpoints(call).filter(id=id)))
    if not found:
        raise ResourceNotFound()
    return found[0]


def _known(events: list[str]) -> list[str]:
    unknown = [
        Problem(["body", "events", place], "There is no such type of event.", "enum", name[:80])
        for place, name in enumerate(events)
        if name not in CLIENT_TYPES
    ]
    if unknown:
        raise RequestInvalid(unknown)
    return events


def _change(call: Call, id: UUID) -> dict[str, Any]:
    return {"endpoint_id": id, "organization_id": call.organization_id, "actor": call.actor, "at": call.at}


@endpoint("GET", ENDPOINTS, scope=READ, query=PageQuery, answer=PageOf(WebhookEndpoint))
def list_webhook_endpoints(call: Call, query: PageQuery) -> Page:
    """List webhook endpoints, the newest first."""
    rows = of_merchant(_endpoints(call), call.organization_id, query)
    return paginated(sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"]), query, _shown)


@endpoint(
    "POST",
    ENDPOINTS,
    scope=WRITE,
    status=201,
    body=WebhookEndpointCreate,
    answer=WebhookEndpoint,
    keeping="never",  # the answer holds a secret
    example={
        "url": "https://example.com/webhooks",
        "format": "raw",
        "events": ["order.paid", "customer.state_changed"],
    },
)
def create_webhook_endpoint(call: Call, body: WebhookEndpointCreate) -> WebhookEndpoint:
    """Add an endpoint."""
    own_organization(call, body.organization_id)
    wish = Wish(url=body.url, name=body.name, events=_known(body.events), secret=body.secret)
    made = create_endpoint(organization_id=call.organization_id, wish=wish, actor=call.actor, at=call.at)
    return _one(call, made.id)


@endpoint("GET", ONE, scope=READ, answer=WebhookEndpoint)
def get_webhook_endpoint(call: Call, id: UUID) -> WebhookEndpoint:
    """Get an endpoint."""
    return _one(call, id)


@endpoint(
    "PATCH",
    ONE,
    scope=WRITE,
    body=WebhookEndpointUpdate,
    answer=WebhookEndpoint,
    example={"events": ["order.paid", "subscription.revoked"]},
)
def update_webhook_endpoint(call: Call, id: UUID, body: WebhookEndpointUpdate) -> WebhookEndpoint:
    """Change an endpoint, or switch it off and on."""
    _one(call, id)
    wish = Wish(
        url=body.url or None,
        name="" if body.name is None else body.name or None,
        events=None if body.events in (None, UNSET) else _known(list(body.events or [])),
        secret=body.secret or None,
    )
    if wish != Wish():
        update_endpoint(wish=wish, **_change(call, id))
    if body.enabled is True:
        enable_endpoint(**_change(call, id))
    elif body.enabled is False:
        disable_endpoint(**_change(call, id))
    return _one(call, id)


@endpoint("DELETE", ONE, scope=WRITE, status=204)
def delete_webhook_endpoint(call: Call, id: UUID) -> None:
    """Delete an endpoint with its log."""
    _one(call, id)
    delete_endpoint(**_change(call, id))


@endpoint("PATCH", f"{ONE}/secret", scope=WRITE, answer=WebhookEndpoint)
def reset_webhook_endpoint_secret(call: Call, id: UUID) -> WebhookEndpoint:
    """Replace the secret. For a day every message carries a signature with the old one too."""
    _one(call, id)
    rotate_secret(**_change(call, id))
    return _one(call, id)


@endpoint("GET", "webhooks/deliveries", scope=READ, query=DeliveryQuery, answer=PageOf(WebhookDelivery))
def list_webhook_deliveries(call: Call, query: DeliveryQuery) -> Page:
    """List attempts of the last 30 days, the newest first."""
    rows = DeliveryRow.objects.of(call.organization_id).filter(event__type__in=CLIENT_TYPES)
    found = _filtered(of_merchant(rows, call.organization_id, query), query).select_related("message__event")
    return paginated(found.order_by("-created_at", "-id"), query, lambda page: list(map(delivery_object, page)))


@endpoint("POST", "webhooks/events/{id}/redeliver", scope=WRITE, status=202, answer=Redelivery)
def redeliver_webhook_event(call: Call, id: UUID) -> Redelivery:
    """Send an event again to the endpoints that it was meant for, with the same id and the same bytes."""
    count = redeliver_event(event_id=id, organization_id=call.organization_id, actor=call.actor, at=call.at)
    return Redelivery(count)


def _filtered(rows: QuerySet[DeliveryRow], query: DeliveryQuery) -> QuerySet[DeliveryRow]:
    if query.endpoint_id:
        rows = rows.filter(endpoint_id__in=query.endpoint_id)
    if query.start_timestamp is not None:
        rows = rows.filter(created_at__gte=query.start_timestamp)
    if query.end_timestamp is not None:
        rows = rows.filter(created_at__lt=query.end_timestamp)
    if query.succeeded is not None:
        rows = rows.filter(succeeded=query.succeeded)
    if query.event_type:
        rows = rows.filter(event__type__in=query.event_type)
    if query.http_code_class is not None:
        rows = rows.filter(http_code__range=_CODES[query.http_code_class])
    return rows.filter(event__payload__icontains=query.query) if query.query else rows
