"""Pages of events by position: any number of events may share an instant, so the cursor names the event too."""

from typing import Any

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from core.keyset import Page, read_page
from core.pagination import InvalidCursor, TimePagination, limit_of
from metering.models import UsageEvent
from metering.positions import ByTime

_OLDER, _NEWER = "older.", "newer."


class EventPagination(BasePagination):
    """As TimePagination: ``?limit=`` and ``?cursor=``; newest first. Answers ``{"data", "next", "previous"}``."""

    page: Page[UsageEvent]
    url: str

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page that the request asks for."""
        self.url = request.build_absolute_uri()
        cursor = request.query_params.get("cursor", "")
        position = cursor.removeprefix(_OLDER).removeprefix(_NEWER)
        if cursor and not (cursor.startswith((_OLDER, _NEWER)) and ByTime().is_position(position)):
            raise InvalidCursor
        self.page = read_page(
            queryset,
            ByTime(),
            before=position if cursor.startswith(_OLDER) else None,
            after=position if cursor.startswith(_NEWER) else None,
            size=limit_of(request.query_params.get("limit")),
        )
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        """The page with links to its neighbours."""
        return Response(
            {"data": data, "next": self._link(_OLDER, self.page.older), "previous": self._link(_NEWER, self.page.newer)}
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same, for the OpenAPI document."""
        return TimePagination().get_paginated_response_schema(schema)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The query parameters, for the OpenAPI document."""
        limit = {"type": "integer", "minimum": 1, "maximum": TimePagination.max_page_size}
        return [
            {"name": "limit", "in": "query", "required": False, "description": "Events on a page.", "schema": limit},
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page begins; follow `next` and `previous`.",
                "schema": {"type": "string"},
            },
        ]

    def _link(self, side: str, position: str | None) -> str | None:
        return None if position is None else replace_query_param(self.url, "cursor", side + position)
