"""Where a page of a log of webhooks begins."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet


class ById:
    """Position in a list of messages: ids are made in the order of time."""

    order: tuple[str, ...] = ("-id",)

    def of(self, row: Any) -> str:
        """The id as text."""
        return str(row.id)

    def older(self, rows: QuerySet[Any], position: str) -> QuerySet[Any]:
        """Made before."""
        return rows.filter(id__lt=UUID(position))

    def newer(self, rows: QuerySet[Any], position: str) -> QuerySet[Any]:
        """Made after."""
        return rows.filter(id__gt=UUID(position))
