"""Making, changing and archiving meters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core.sqlcalls import run
from metering.errors import InvalidMeter, MeterInUse, UnknownMeter
from metering.meters.compiling import COUNTS, Binder, condition
from metering.meters.grammar import aggregation_json, filter_json, parse_aggregation, parse_filter
from metering.meters.models import Meter
from outbox.services import publish

SHORTEST_NAME, LONGEST_NAME, LONGEST_UNIT = 3, 128, 40


@transaction.atomic
def create_meter(
    *,
    organization_id: UUID | None,
    name: str,
    filter: Mapping[str, Any],  # as the wire calls it
    aggregation: Mapping[str, Any],
    unit: str = "scalar",
    metadata: Mapping[str, Any] | None = None,
    actor: str = "",
    at: datetime,
) -> Meter:
    """Make a meter; it counts what happened before it as well. Without an organization it is the operator's own.

    Raises InvalidMeter.
    """
    meter = Meter(
        organization_id=organization_id,
        name=_text(name, "name", SHORTEST_NAME, LONGEST_NAME),
        filter=filter_json(parse_filter(filter)),
        aggregation=aggregation_json(parse_aggregation(aggregation)),
        unit=_text(unit, "unit", 1, LONGEST_UNIT),
        metadata=dict(metadata or {}),
        created_at=at,
    )
    _refuse_taken(meter)
    meter.save(force_insert=True)
    _tell("meter.created", meter, actor, at)
    return meter


@transaction.atomic
def update_meter(
    *, organization_id: UUID | None, meter_id: UUID, actor: str = "", at: datetime, **changes: Any
) -> Meter:
    """Change ``name``, ``unit``, ``metadata``, ``is_archived``, or, while it counts no event yet, ``filter`` and
    ``aggregation``.

    An archived meter is still asked for what it counted, and is no longer offered. Raises UnknownMeter, InvalidMeter,
    MeterInUse.
    """
    whose = Q(organization=None) if organization_id is None else Q(organization_id=organization_id)
    meter = Meter.objects.select_for_update().filter(whose, pk=meter_id).first()
    if meter is None:
        raise UnknownMeter
    if "name" in changes:
        meter.name = _text(changes.pop("name"), "name", SHORTEST_NAME, LONGEST_NAME)
    if "unit" in changes:
        meter.unit = _text(changes.pop("unit"), "unit", 1, LONGEST_UNIT)
    if "metadata" in changes:
        meter.metadata = dict(changes.pop("metadata"))
    if "is_archived" in changes and bool(changes["is_archived"]) != (meter.archived_at is not None):
        meter.archived_at = at if changes["is_archived"] else None
    changes.pop("is_archived", None)
    _redefine(meter, changes.pop("filter", None), changes.pop("aggregation", None))
    if changes:
        raise TypeError(f"A meter has no {', '.join(changes)}")
    _refuse_taken(meter)
    meter.modified_at = at
    meter.save()
    _tell("meter.updated", meter, actor, at)
    return meter


def has_events(meter: Meter) -> bool:
    """Whether any event counts for the meter."""
    bind = Binder()
    whose = "true"
    if meter.organization_id is not None:
        whose = f"e.organization_id = {bind.bind(str(meter.organization_id), 'uuid')}"
    counted = condition(meter.definition.filter, bind)
    text = f"SELECT EXISTS (SELECT 1 FROM metering_usageevent e WHERE {whose} AND {COUNTS} AND {counted})"  # noqa: S608
    [[found]] = run(bind.statement(text))
    return bool(found)


def _redefine(meter: Meter, filter_: Any, aggregation: Any) -> None:
    fresh = {
        "filter": meter.filter if filter_ is None else filter_json(parse_filter(filter_)),
        "aggregation": meter.aggregation if aggregation is None else aggregation_json(parse_aggregation(aggregation)),
    }
    if fresh == {"filter": meter.filter, "aggregation": meter.aggregation}:
        return
    if has_events(meter):
        raise MeterInUse
    meter.filter, meter.aggregation = fresh["filter"], fresh["aggregation"]
    meter.__dict__.pop("definition", None)


def _text(value: Any, field: str, least: int, most: int) -> str:
    if not isinstance(value, str) or not least <= len(value.strip()) <= most or "\x00" in value:
        raise InvalidMeter([((field,), "out_of_range", f"It has {least} to {most} characters.")])
    return value.strip()


def _refuse_taken(meter: Meter) -> None:
    """Names of the operator's meters tell them apart on price lists."""
    if meter.organization_id is None and meter.archived_at is None:
        same = Meter.objects.filter(organization=None, archived_at=None, name=meter.name)
        if same.exclude(pk=meter.pk).exists():
            raise InvalidMeter([(("name",), "taken", "Another meter of yours has this name.")])


def _tell(type_: str, meter: Meter, actor: str, at: datetime) -> None:
    data = {"meter_id": str(meter.pk), "name": meter.name}
    publish(type=type_, organization_id=meter.organization_id, data=data, actor=actor, at=at)
