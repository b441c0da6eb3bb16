"""Meters counted one event after another, in plain Python and with fractions: what the SQL is held against.

It shares nothing with ``metering.meters`` but the words of a definition.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction


@dataclass
class Counted:
    """An event as the test sent it."""

    id: object
    name: str
    at: datetime
    received: datetime
    metadata: dict
    customer_id: object = None
    external: str | None = None
    model: str = ""
    tags: dict = field(default_factory=dict)
    is_void: bool = False
    is_ours: bool = False  # noted by Farebox


def value(event, name):
    match name:
        case "name":
            return event.name
        case "source":
            return "system" if event.is_ours else "user"
        case "timestamp":
            return Fraction((event.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 10**6)
        case "event.model":
            return event.model
    if name.startswith("event.tags."):
        return event.tags.get(name[len("event.tags.") :])
    if name in event.metadata:
        return event.metadata[name]
    here = event.metadata
    for step in name.split("."):
        if not isinstance(here, dict) or step not in here:
            return None
        here = here[step]
    return here


def kind(thing):
    if thing is True or thing is False:
        return "boolean"
    return "number" if isinstance(thing, int | Decimal | Fraction | float) else type(thing).__name__


def number(thing):
    return Fraction(repr(thing)) if isinstance(thing, float) else Fraction(thing)


def holds(clause, event):
    if "clauses" in clause:
        results = [holds(inner, event) for inner in clause["clauses"]]
        if not results:
            return True
        return all(results) if clause["conjunction"] == "and" else any(results)
    name, wanted = clause["property"].removeprefix("metadata."), clause["value"]
    found = value(event, name)
    if found is None or kind(found) != kind(wanted):
        return False
    if kind(found) == "number":
        found, wanted = number(found), number(wanted)
    operator = clause["operator"]
    if operator in ("like", "not_like"):
        return kind(found) == "str" and (wanted in found) is (operator == "like")
    return {
        "eq": found == wanted,
        "ne": found != wanted,
        "gt": found > wanted,
        "gte": found >= wanted,
        "lt": found < wanted,
        "lte": found <= wanted,
    }[operator]


def counts(definition, event):
    return not event.is_void and not event.is_ours and holds(definition["filter"], event)


def aggregate(definition, events):
    """The exact quantity; an average is a fraction."""
    function = definition["aggregation"]["func"]
    if function == "count":
        return Fraction(len(events))
    name = definition["aggregation"]["property"].removeprefix("metadata.")
    found = [(event, value(event, name)) for event in events]
    if function == "unique":
        return Fraction(len({same(thing) for _, thing in found if thing is not None}))
    numbers = [(event.at, str(event.id), number(thing)) for event, thing in found if kind(thing) == "number"]
    if not numbers:
        return Fraction(0)
    only = [thing for _, _, thing in numbers]
    match function:
        case "sum":
            return sum(only)
        case "avg":
            return sum(only) / len(only)
        case "min":
            return min(only)
        case "max":
            return max(only)
    return max(numbers)[2]


def same(thing):
    return ("number", number(thing)) if kind(thing) == "number" else (kind(thing), repr(thing))


def bucket_of(moment, interval, zone):
    """The first local day, or the hour, that a moment belongs to."""
    local = moment.astimezone(zone)
    if interval == "hour":
        return moment.astimezone(UTC) - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
    day: date = local.date()
    if interval == "week":
        day -= timedelta(days=day.weekday())
    elif interval == "month":
        day = day.replace(day=1)
    elif interval == "year":
        day = day.replace(month=1, day=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def by_bucket(definition, events, interval, zone):
    buckets = defaultdict(list)
    for event in events:
        buckets[bucket_of(event.at, interval, zone)].append(event)
    return {start: aggregate(definition, inside) for start, inside in buckets.items()}


def by_group(definition, events, name):
    groups = defaultdict(list)
    for event in events:
        thing = value(event, name)
        groups[None if thing is None else same(thing)].append(event)
    return {group: aggregate(definition, inside) for group, inside in groups.items()}


def close(quantity, exact):
    """Equal; for a fraction without an end, as near as 18 decimal places come."""
    return quantity == Decimal(exact.numerator) / exact.denominator or abs(Fraction(quantity) - exact) <= Fraction(
        1, 2 * 10**18
    )
