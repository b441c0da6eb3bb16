"""Meters in Python: whether an event matches and what it adds. The twin of ``compiling``, rule for rule."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from core.jsonio import loads
from metering.meters.grammar import Aggregation, Comparison, Group
from metering.meters.models import Meter
from metering.meters.properties import SYSTEM, USER, Path, property_of
from metering.models import UsageEvent
from metering.records import UsageRecord

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"eq": eq, "ne": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}
_INDEX = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")  # a place in an array, as PostgreSQL reads it
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(slots=True)
class EventFacts:
    """An event as meters see it. ``metadata`` has exact numbers; ``columns`` are the event's own fields."""

    name: str
    source: str
    occurred_at: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    columns: Any = None

    @classmethod
    def of(cls, event: UsageRecord | UsageEvent) -> "EventFacts":
        """The facts of a stored event or of one that is about to be."""
        metadata = event.metadata
        if not isinstance(metadata, Mapping):
            metadata = loads(bytes(metadata))
        return cls(event.name, event.source, event.occurred_at, metadata, event)


def matches(group: Group, facts: EventFacts) -> bool:
    """Whether the filter holds for the event. What Farebox itself noted matches nothing."""
    return facts.source != SYSTEM and _holds(group, facts)


def matching(meters: Iterable[Meter], facts: EventFacts) -> list[Meter]:
    """Those of ``meters`` whose filter holds for the event."""
    return [meter for meter in meters if matches(meter.definition.filter, facts)]


def amount_of(aggregation: Aggregation, facts: EventFacts) -> Any:
    """What a matching event brings to the aggregation: 1, a number, a value, or None when it does not take part."""
    if aggregation.function == "count":
        return Decimal(1)
    value = value_of(aggregation.property, facts)
    if aggregation.function == "unique":
        return distinct_key(value)
    return Decimal(value) if type_of(value) == "number" else None


def value_of(name: str, facts: EventFacts) -> Any:
    """The value of a property; None when the event lacks it. Numbers are exact."""
    place = property_of(name)
    if isinstance(place, Path):
        held = facts.metadata if place.column == "metadata" else facts.columns.tags
        return _exact(descend(held, place))
    match place.name:
        case "name":
            return facts.name
        case "user":
            return USER if facts.source != SYSTEM else SYSTEM
        case "timestamp":
            return _seconds(facts.occurred_at)
        case "total_tokens":
            return facts.columns.prompt_tokens + facts.columns.completion_tokens
    value = getattr(facts.columns, place.name)
    return str(value) if place.type == "string" and value is not None else _exact(value)


def type_of(value: Any) -> str:
    """The JSON type of a value: a number is no boolean."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | Decimal):
        return "number"
    return "string" if isinstance(value, str) else "other"


def distinct_key(value: Any) -> Any:
    """What makes a value the same as another: 1 and 1.0 are, 1 and true are not. None for no value."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return ("object", frozenset((key, distinct_key(item) or "null") for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("array", tuple(distinct_key(item) or "null" for item in value))
    return (type_of(value), value)


def _holds(group: Group, facts: EventFacts) -> bool:
    if not group.clauses:
        return True
    combine = all if group.conjunction == "and" else any
    return combine(
        _holds(clause, facts) if isinstance(clause, Group) else compares(clause, value_of(clause.property, facts))
        for clause in group.clauses
    )


def compares(clause: Comparison, value: Any) -> bool:
    """Whether the comparison holds for a value of its property."""
    if value is None or type_of(value) != type_of(clause.value):
        return False
    if clause.operator in _COMPARE:
        return _COMPARE[clause.operator](value, clause.value)
    if not isinstance(value, str) or not isinstance(clause.value, str):
        return False
    return (clause.value in value) == (clause.operator == "like")


def descend(held: Any, path: Path) -> Any:
    """The value under the key itself, else at the end of its steps."""
    if path.key in held:
        return held[path.key]
    for step in path.steps:
        if isinstance(held, Mapping):
            held = held.get(step)
        elif isinstance(held, list) and _INDEX.fullmatch(step) and -len(held) <= int(step) < len(held):
            held = held[int(step)]
        else:
            return None
    return held


def _exact(value: Any) -> Any:
    """A float as the decimal that was written."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def _seconds(moment: datetime) -> Decimal:
    passed = moment - _EPOCH
    return Decimal(passed.days * 86400 + passed.seconds) + Decimal(passed.microseconds).scaleb(-6)
