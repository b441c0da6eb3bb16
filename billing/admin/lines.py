"""Rows of other tables, shown on the page of the row that they belong to."""

from typing import Any

from django.contrib.admin import TabularInline
from django.http import HttpRequest

from core.admin import ReadableAmounts


class Lines(ReadableAmounts, TabularInline):
    """A list to look at."""

    extra = 0
    can_delete = False
    show_change_link = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.only_shown(self.fields or ())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see the row that they belong to may see them."""
        return True
