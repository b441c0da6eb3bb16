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


class TimePagination(CursorPagination):
    """``?limit=`` (1 to 200, default 50) and ``?cursor=``; newest first. Answers ``{"data", "next", "previous"}``."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """The rows of the page that the request asks for. Raises InvalidCursor."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            raise InvalidCursor from None

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
