"""Cursor pages: stable while rows are added, no page numbers to drift."""

from typing import Any

from rest_framework.pagination import CursorPagination
from rest_framework.response import Response


class TimePagination(CursorPagination):
    """``?limit=`` (1 to 200, default 50) and ``?cursor=``; newest first. Answers ``{"data", "next", "previous"}``."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-id"

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
