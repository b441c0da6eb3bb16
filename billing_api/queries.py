"""What list requests say in their query: filters, pages, order, metadata."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints
from uuid import UUID

import msgspec
from django.db.models import F, Func, QuerySet, TextField, Value
from django.http import QueryDict
from msgspec import UNSET, Meta, UnsetType

from billing_api.errors import invalid
from billing_api.wire import check_moments, convert

MOST_ON_A_PAGE = 100
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)
Metadata = Mapping[str, Sequence[str]]


class Query(msgspec.Struct, kw_only=True):
    """Filters of a request. Subclasses name them; a list field takes its key repeated."""

    metadata: Annotated[dict[str, list[str]] | UnsetType, Meta(description="metadata[key]=value")] = UNSET


class PageQuery(Query, kw_only=True):
    """A list request: which page, how many on it, in what order (``-`` before a field: descending)."""

    organization_id: list[UUID] = []  # the token's own, or nothing is found
    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1)] = 10
    sorting: list[str] = []


class Pagination(msgspec.Struct):
    """How much there is in all."""

    total_count: int
    max_page: int


class Page(msgspec.Struct):
    """One page of a list."""

    items: list[Any]
    pagination: Pagination


def read_query(query: QueryDict, shape: type[Query]) -> Any:
    """The query of a request as ``shape``; keys that it does not know are passed over. Raises RequestInvalid."""
    values: dict[str, Any] = {}
    for name, kind in _fields(shape).items():
        if name in query:
            values[name] = query.getlist(name) if _is_list(kind) else query[name]
    metadata: dict[str, list[str]] = {}
    for name in query:
        if found := _METADATA.fullmatch(name):
            metadata.setdefault(found[1], []).extend(query.getlist(name))
    if any("\0" in text for text in (*metadata, *query, *(text for each in query.lists() for text in each[1]))):
        raise invalid(["query"], "Text cannot contain NUL characters.")
    if metadata:
        values["metadata"] = metadata
    made = convert(values, shape, ["query"])
    check_moments(made, "query")
    return made


def _fields(shape: type[Query]) -> dict[str, Any]:
    hints = get_type_hints(shape)
    return {name: kind for name, kind in hints.items() if name != "metadata"}


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list or any(get_origin(part) is list for part in getattr(kind, "__args__", ()))


Rows = TypeVar("Rows", bound=QuerySet[Any])


def narrowed(rows: Rows, organization_id: UUID, query: PageQuery) -> Rows:
    """The merchant's rows that fit what lists have in common: the organization and the metadata asked for."""
    return with_metadata(of_merchant(rows, organization_id, query), query.metadata)


def of_merchant(rows: Rows, organization_id: UUID, query: PageQuery) -> Rows:
    """The same of rows that have no metadata, where that is passed over like any key that is not known."""
    return rows.none() if query.organization_id and organization_id not in query.organization_id else rows


def with_metadata(rows: Rows, metadata: Metadata | UnsetType) -> Rows:
    """The rows whose metadata has each key with one of its values; numbers and booleans as JSON writes them."""
    for place, (key, values) in enumerate((metadata or {}).items()):
        name = f"metadata_{place}"
        text = Func(F("metadata"), Value(key), function="jsonb_extract_path_text", output_field=TextField())
        rows = rows.alias(**{name: text}).filter(**{f"{name}__in": list(values)})
    return rows


def sorted_rows(rows: Rows, sorting: Sequence[str], known: Mapping[str, str], default: Sequence[str]) -> Rows:
    """The rows in the order asked for; ``known`` names the column of each field. Raises RequestInvalid."""
    order = []
    for place, asked in enumerate(sorting):
        field = asked.removeprefix("-")
        if field not in known:
            raise invalid(["query", "sorting", place], f"Cannot be sorted by {field[:80]!r}.", "enum", asked)
        order.append(f"-{known[field]}" if asked.startswith("-") else known[field])
    return rows.order_by(*(order or default), "-id" if (order or default)[0].startswith("-") else "id")


def paginated(rows: QuerySet[Any], query: PageQuery, render: Callable[[list[Any]], list[Any]]) -> Page:
    """One page of ``rows``; ``render`` gets the page's rows together, so that it can ask for what they share once."""
    limit = min(query.limit, MOST_ON_A_PAGE)
    first = (query.page - 1) * limit
    total = rows.count()
    found = list(rows[first : first + limit]) if first < total else []
    return Page(render(found), Pagination(total, -(-total // limit)))
