"""Meters in SQL: a filter as a condition on events, with every value bound. The twin of ``matching``.

Conditions may be NULL where a property is missing: under ``and`` and ``or`` alone, that is as good as false.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from core.jsonio import dumps_text
from core.sqlcalls import Query
from metering.meters.grammar import Aggregation, Comparison, Group
from metering.meters.properties import BOOLEAN, NUMBER, TEXT, Column, Path, property_of

Bindable = str | datetime | Sequence[UUID | str] | None
_SYMBOLS = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TYPES: dict[type, str] = {bool: BOOLEAN, int: NUMBER, str: TEXT}
_PLACE = re.compile(r"\$(\d+)::")
# Expressions for columns that are not simply read.
_SPECIAL = {
    "user": "CASE e.source WHEN 'system' THEN 'system' ELSE 'user' END",
    "timestamp": "extract(epoch FROM e.occurred_at)",
    "total_tokens": "(e.prompt_tokens + e.completion_tokens)",
    "member_id": "e.member_id::text",
    "api_key_id": "e.api_key_id::text",
}
COUNTS = "e.voided_at IS NULL AND e.source <> 'system'"


class Binder:
    """The values of a statement, each named ``$n`` once."""

    def __init__(self) -> None:
        self.values: list[Bindable] = []
        self._known: dict[tuple[str, Any], str] = {}

    def bind(self, value: Bindable, cast: str) -> str:
        """The name of ``value`` in the statement. ``cast`` is a type of ours, never input."""
        key = (cast, tuple(value) if isinstance(value, list) else value)
        if key not in self._known:
            self.values.append(value)
            self._known[key] = f"${len(self.values)}::{cast}"
        return self._known[key]

    def statement(self, text: str) -> Query:
        """``text`` with those of the values that it names."""
        used: dict[str, str] = {}
        text = _PLACE.sub(lambda found: used.setdefault(found[1], f"${len(used) + 1}::"), text)
        return Query(text, tuple(self.values[int(place) - 1] for place in used))


def condition(group: Group, bind: Binder) -> str:
    """The filter as SQL over the event ``e``."""
    if not group.clauses:
        return "true"
    parts = [condition(one, bind) if isinstance(one, Group) else _comparison(one, bind) for one in group.clauses]
    return "(" + f" {group.conjunction.upper()} ".join(parts) + ")"


def amount(aggregation: Aggregation, bind: Binder) -> str:
    """What an event brings to the aggregation: a number, for ``unique`` the value as jsonb; NULL for nothing."""
    if aggregation.function == "count":
        return "1"
    place = property_of(aggregation.property)
    if aggregation.function == "unique":
        return f"to_jsonb({_read(place)})" if isinstance(place, Column) else f"nullif({_json(place, bind)}, 'null')"
    if isinstance(place, Column):
        return f"({_read(place)})::numeric" if place.type == NUMBER else "NULL::numeric"
    value = _json(place, bind)
    return f"CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric END"


def label(name: str, bind: Binder) -> str:
    """A property as jsonb, to group by; NULL where it is missing."""
    place = property_of(name)
    return f"to_jsonb({_read(place)})" if isinstance(place, Column) else f"nullif({_json(place, bind)}, 'null')"


def metadata_condition(wanted: Mapping[str, Sequence[str]], bind: Binder) -> str:
    """Events whose metadata has, for every key, one of the values as text."""
    parts = [
        f"e.metadata ->> {bind.bind(key, 'text')} = ANY ({bind.bind(list(values), 'text[]')})"
        for key, values in wanted.items()
    ]
    return " AND ".join(["true", *parts])


def for_queryset(text: str, bind: Binder, table: str) -> tuple[str, list[Bindable]]:
    """The same for a queryset: values as ``%s``, and ``table`` instead of ``e``."""
    values: list[Bindable] = []

    def named(found: re.Match[str]) -> str:
        values.append(bind.values[int(found[1]) - 1])
        return "%s::"

    return re.sub(r"\be\.", f'"{table}".', _PLACE.sub(named, text)), values


def _comparison(clause: Comparison, bind: Binder) -> str:
    place, wanted = property_of(clause.property), _TYPES[type(clause.value)]
    if clause.operator in ("like", "not_like") and wanted != TEXT:
        return "false"
    if isinstance(place, Path):
        return _json_comparison(clause, _json(place, bind), wanted, bind)
    if place.type != wanted:
        return "false"
    cast = {TEXT: "text", NUMBER: "numeric", BOOLEAN: "boolean"}[wanted]
    text = str(clause.value).lower() if wanted == BOOLEAN else str(clause.value)
    return _typed(clause.operator, _read(place), wanted, bind.bind(text, cast))


def _json_comparison(clause: Comparison, value: str, wanted: str, bind: Binder) -> str:
    if clause.operator == "eq":  # jsonb knows types: 1 is neither "1" nor true
        return f"{value} = {bind.bind(dumps_text(clause.value), 'jsonb')}"
    if wanted == TEXT:
        inner = _typed(clause.operator, f"({value} #>> '{{}}')", TEXT, bind.bind(str(clause.value), "text"))
    else:
        inner = f"{value} {_SYMBOLS[clause.operator]} {bind.bind(dumps_text(clause.value), 'jsonb')}"
    return f"(jsonb_typeof({value}) = '{wanted}' AND {inner})"


def _typed(operator: str, value: str, wanted: str, given: str) -> str:
    if operator == "like":
        return f"strpos({value}, {given}) > 0"
    if operator == "not_like":
        return f"strpos({value}, {given}) = 0"
    collate = ' COLLATE "C"' if wanted == TEXT else ""
    return f"{value}{collate} {_SYMBOLS[operator]} {given}"


def _read(column: Column) -> str:
    return _SPECIAL.get(column.name, f"e.{column.name}")


def _json(path: Path, bind: Binder) -> str:
    """The value under the key itself, else at the end of its steps."""
    key = bind.bind(path.key, "text")
    if len(path.steps) == 1:
        return f"(e.{path.column} -> {key})"
    return (
        f"(CASE WHEN e.{path.column} ? {key} THEN e.{path.column} -> {key}"
        f" ELSE e.{path.column} #> {bind.bind(path.steps, 'text[]')} END)"
    )
