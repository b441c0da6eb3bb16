"""Events as the wire shows them: usage that was reported, and what Farebox noted of customers."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from billing.models import Customer as CustomerRow
from billing.models import EventLabel
from billing_api.event_shapes import Event
from billing_api.objects.customers import customer_object
from billing_api.wire import uuid_of
from core.times import wire_time
from metering.models import UsageEvent, UsageKey

Row = Mapping[str, Any]  # the columns of COLUMNS
_INTEGERS = 2**63  # what is larger was sent as a float: integers beyond are refused
COLUMNS = (
    *("id", "occurred_at", "received_at", "name", "customer_id", "external_customer_id", "metadata"),
    *("source", "kind", "external_id", "parent_id"),
)


def event_objects(organization_id: UUID, rows: Sequence[Row]) -> list[Event]:
    """The events with their customers, parents and numbers of children, asked for once for all."""
    people = _Customers(organization_id, rows)
    parents = _parents(organization_id, rows)
    children = _children(organization_id, rows)
    labels = labels_of(organization_id, {row["name"] for row in rows})
    return [_event(organization_id, row, people.of(row), parents, children, labels) for row in rows]


def labels_of(organization_id: UUID, names: Iterable[str]) -> dict[str, EventLabel]:
    """What the merchant calls events of these names, where he has said so."""
    found = EventLabel.objects.filter(organization_id=organization_id, name__in=set(names))
    return {each.name: each for each in found}


def _event(
    organization_id: UUID,
    row: Row,
    customer: CustomerRow | None,
    parents: Mapping[str, UUID],
    children: Mapping[str, int],
    labels: Mapping[str, EventLabel],
) -> Event:
    label = labels.get(row["name"])
    external_id = row["external_customer_id"] or (customer.external_id if customer else None)
    return Event(
        id=row["id"],
        timestamp=row["occurred_at"],
        organization_id=organization_id,
        customer_id=customer.id if customer else row["customer_id"],
        customer=None if customer is None else customer_object(customer),
        external_customer_id=external_id,
        child_count=sum(children.get(key, 0) for key in _keys(row)),
        parent_id=parents.get(row["parent_id"] or ""),
        label=label.of(row["metadata"]) if label else row["name"] or row["kind"],
        name=row["name"] or row["kind"],
        source="system" if row["source"] == "system" else "user",
        metadata=_noted_metadata(row) if row["source"] == "system" else _shown_metadata(row["metadata"]),
    )


def _noted_metadata(row: Row) -> dict[str, Any]:
    """What was noted, with what clients insist on and earlier notes lack."""
    needed: dict[str, dict[str, Any]] = {
        "customer.updated": {"updated_fields": {}},
        "subscription.created": {"started_at": wire_time(row["occurred_at"])},
        "subscription.canceled": {"canceled_at": wire_time(row["occurred_at"])},
    }
    return {**needed.get(row["name"], {}), **row["metadata"]}


def _shown_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata; the amount of a cost leaves as text, and a number too large for an integer as the float it was."""
    if any(map(_is_beyond_integers, metadata.values())):
        metadata = {key: float(each) if _is_beyond_integers(each) else each for key, each in metadata.items()}
    cost = metadata.get("_cost")
    if not isinstance(cost, dict) or isinstance(cost.get("amount"), str):
        return metadata
    amount = Decimal(repr(cost.get("amount", 0)))
    return {**metadata, "_cost": {"currency": "usd", **cost, "amount": f"{amount:f}"}}


def _is_beyond_integers(value: Any) -> bool:
    return type(value) is int and not -_INTEGERS <= value < _INTEGERS


class _Customers:
    """Whose events these are: an event names its customer by either of his ids."""

    def __init__(self, organization_id: UUID, rows: Iterable[Row]) -> None:
        ids = {row["customer_id"] for row in rows if row["customer_id"]}
        external = {row["external_customer_id"] for row in rows if row["external_customer_id"]}
        found = CustomerRow.objects.filter(organization_id=organization_id).filter(
            Q(id__in=ids) | Q(external_id__in=external, deleted_at__isnull=True)
        )
        people = list(found) if ids or external else []
        self._by_id = {customer.id: customer for customer in people}
        self._by_external_id = {c.external_id: c for c in people if c.external_id and c.deleted_at is None}

    def of(self, row: Row) -> CustomerRow | None:
        """The event's customer; a former owner of an external id keeps what was received in his time."""
        if row["customer_id"]:
            return self._by_id.get(row["customer_id"])
        found = self._by_external_id.get(row["external_customer_id"])
        if found and found.usage_since and row["received_at"] < found.usage_since:
            return None
        return found


def _keys(row: Row) -> list[str]:
    """What a child may call the event."""
    return [str(row["id"]), *([row["external_id"]] if row["external_id"] else [])]


def _children(organization_id: UUID, rows: Iterable[Row]) -> dict[str, int]:
    keys = [key for row in rows for key in _keys(row)]
    found = UsageEvent.objects.filter(organization_id=organization_id, parent_id__in=keys, voided_at__isnull=True)
    return dict(found.order_by().values_list("parent_id").annotate(Count("id")))


def _parents(organization_id: UUID, rows: Iterable[Row]) -> dict[str, UUID]:
    """The event behind each name of a parent; one that has not come yet is left out."""
    named = {row["parent_id"] for row in rows if row["parent_id"]}
    if not named:
        return {}
    keys = UsageKey.objects.filter(organization_id=organization_id, external_id__in=named)
    found = dict(keys.values_list("external_id", "event_id"))
    ids = {text: as_uuid for text in named - found.keys() if (as_uuid := uuid_of(text))}
    known = UsageEvent.objects.filter(organization_id=organization_id, id__in=ids.values()) if ids else []
    present = {event.id for event in known}
    return {**found, **{text: each for text, each in ids.items() if each in present}}
