"""A meter's filter and aggregation, from the JSON that defines them to values that can be trusted.

A filter is ``{"conjunction": "and" | "or", "clauses": [...]}``; a clause is another filter or a comparison
``{"property", "operator", "value"}``. A filter without clauses matches every event.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metering.errors import InvalidMeter

CONJUNCTIONS = ("and", "or")
OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "like", "not_like")
FUNCTIONS = ("count", "sum", "avg", "min", "max", "unique", "latest")
MOST_CLAUSES = 200
DEEPEST = 20
LONGEST_PROPERTY = 200
LONGEST_VALUE = 1000
_INT_LIMIT = 2**31
_PREFIX = "metadata."

Value = str | int | bool
Place = tuple[str | int, ...]
Problem = tuple[Place, str, str]  # where, code, what is wrong


@dataclass(frozen=True, slots=True)
class Comparison:
    """``property operator value``; false where the event lacks the property or has another type there."""

    property: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Group:
    """Clauses of which all (``and``) or any (``or``) must hold; none at all always holds."""

    conjunction: str
    clauses: "tuple[Comparison | Group, ...]" = ()


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How matching events become a quantity; ``property`` is empty for ``count`` alone."""

    function: str
    property: str = ""


EVERYTHING = Group("and")


def parse_filter(data: Any) -> Group:
    """The filter that ``data`` describes. Raises InvalidMeter naming every clause that does not fit."""
    problems: list[Problem] = []
    count = [0]
    group = _group(data, ("filter",), 1, count, problems)
    if count[0] > MOST_CLAUSES:
        problems.append((("filter",), "too_large", f"A filter has at most {MOST_CLAUSES} clauses."))
    if problems or group is None:
        raise InvalidMeter(problems)
    return group


def parse_aggregation(data: Any) -> Aggregation:
    """The aggregation that ``data`` describes: ``{"func": "sum", "property": "tokens"}``. Raises InvalidMeter."""
    problems = list(_aggregation_problems(data))
    if problems:
        raise InvalidMeter(problems)
    return Aggregation(data["func"], "" if data["func"] == "count" else plain_property(data["property"]))


def filter_json(group: Group) -> dict[str, Any]:
    """The filter as it is stored and shown."""
    return {
        "conjunction": group.conjunction,
        "clauses": [
            filter_json(clause)
            if isinstance(clause, Group)
            else {"property": clause.property, "operator": clause.operator, "value": clause.value}
            for clause in group.clauses
        ],
    }


def aggregation_json(aggregation: Aggregation) -> dict[str, Any]:
    """The aggregation as it is stored and shown."""
    named = {"property": aggregation.property} if aggregation.property else {}
    return {"func": aggregation.function, **named}


def plain_property(name: str) -> str:
    """A property without the ``metadata.`` that may stand before it."""
    return name.removeprefix(_PREFIX)


def comparisons(group: Group) -> Iterator[Comparison]:
    """Every comparison of a filter."""
    for clause in group.clauses:
        if isinstance(clause, Group):
            yield from comparisons(clause)
        else:
            yield clause


def _group(data: Any, place: Place, depth: int, count: list[int], problems: list[Problem]) -> Group | None:
    if not isinstance(data, Mapping):
        problems.append((place, "invalid_type", "A filter is an object with conjunction and clauses."))
        return None
    if depth > DEEPEST:
        problems.append((place, "too_deep", f"Filters nest at most {DEEPEST} deep."))
        return None
    found = len(problems)
    problems.extend(_unknown(data, place, {"conjunction", "clauses"}))
    if data.get("conjunction") not in CONJUNCTIONS:
        problems.append(((*place, "conjunction"), "invalid_choice", "It is “and” or “or”."))
    clauses = data.get("clauses")
    if not isinstance(clauses, list | tuple):
        problems.append(((*place, "clauses"), "invalid_type", "It is a list of clauses."))
        return None
    count[0] += len(clauses)
    if count[0] > MOST_CLAUSES:
        return None
    read = [_clause(clause, (*place, "clauses", n), depth, count, problems) for n, clause in enumerate(clauses)]
    if len(problems) > found:
        return None
    return Group(data["conjunction"], tuple(clause for clause in read if clause is not None))


def _clause(
    data: Any, place: Place, depth: int, count: list[int], problems: list[Problem]
) -> Comparison | Group | None:
    if not isinstance(data, Mapping):
        problems.append((place, "invalid_type", "A clause is a comparison or another filter."))
        return None
    if "clauses" in data or "conjunction" in data:
        return _group(data, place, depth + 1, count, problems)
    found = list(_comparison_problems(data, place))
    problems.extend(found)
    if found:
        return None
    return Comparison(plain_property(data["property"]), data["operator"], data["value"])


def _comparison_problems(data: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    yield from _unknown(data, place, {"property", "operator", "value"})
    yield from _property_problems(data.get("property"), (*place, "property"))
    if data.get("operator") not in OPERATORS:
        yield (*place, "operator"), "invalid_choice", f"It is one of {', '.join(OPERATORS)}."
    value = data.get("value")
    if isinstance(value, str):
        if len(value) > LONGEST_VALUE or "\x00" in value:
            yield (*place, "value"), "out_of_range", f"Text has at most {LONGEST_VALUE} characters, none of them NUL."
    elif not isinstance(value, int):
        yield (*place, "value"), "invalid_type", "It is text, a whole number, true or false."
    elif not -_INT_LIMIT <= value < _INT_LIMIT:
        yield (*place, "value"), "out_of_range", "Whole numbers have at most 32 bits."


def _aggregation_problems(data: Any) -> Iterator[Problem]:
    place: Place = ("aggregation",)
    if not isinstance(data, Mapping):
        yield place, "invalid_type", "An aggregation is an object with func and, but for count, property."
        return
    yield from _unknown(data, place, {"func", "property"})
    if data.get("func") not in FUNCTIONS:
        yield (*place, "func"), "invalid_choice", f"It is one of {', '.join(FUNCTIONS)}."
    elif data["func"] != "count":
        yield from _property_problems(data.get("property"), (*place, "property"))


def _property_problems(name: Any, place: Place) -> Iterator[Problem]:
    if not isinstance(name, str) or not plain_property(name):
        yield place, "required", "Name the property."
    elif len(name) > LONGEST_PROPERTY or "\x00" in name:
        yield place, "out_of_range", f"It has at most {LONGEST_PROPERTY} characters, none of them NUL."


def _unknown(data: Mapping[str, Any], place: Place, known: set[str]) -> Iterator[Problem]:
    for name in sorted(map(str, data.keys() - known)):
        yield (*place, name), "unknown_field", f"Unknown field; known are {', '.join(sorted(known))}."
