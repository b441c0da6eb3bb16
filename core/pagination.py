"""Cursor pages: stable while rows are added, no page numbers to drift."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import InvalidRequest


class InvalidCursor(InvalidRequest):
    """A position that no answer of ours named."""

    code = "invalid_cursor"
    title = "This cursor is not valid. Follow the links of an answer."


_LARGEST = 200


class TimePagination(CursorPagination):
    """``?limit=`` (at least 1, default 50; at most 200 are given) and ``?cursor=``; newest first.

    Answers ``{"data", "next", "previous"}``.
    """

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = _LARGEST
    ordering = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """The rows of the page that the request asks for. Raises InvalidCursor, InvalidRequest for a bad limit."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            raise InvalidCursor from None

    def get_page_size(self, request: Request) -> int:
        """How many rows are asked for. Raises InvalidRequest."""
        return limit_of(request.query_params.get(self.page_size_query_param))

    def get_paginated_response(self, data: Any) -> Response:
        """The page with links to its neighbours."""
        return Response({"data": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same, for the OpenAPI document."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["data", "next", "previous"],
            "properties": {"data": schema, "next": link, "previous": link},
        }


def limit_of(text: str | None) -> int:
    """How many rows ``?limit=`` asks for, cut to 200; 50 where it is not given. Raises InvalidRequest."""
    if not text:
        return TimePagination.page_size
    if not (text.isascii() and text.isdigit() and int(text[:9])):
        detail = f"limit must be a whole number, 1 to {_LARGEST}."
        raise InvalidRequest(detail, errors=[{"field": "limit", "code": "invalid", "detail": detail}])
    return min(int(text[:9]), _LARGEST)
