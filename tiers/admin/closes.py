"""Period closes: what was done at each boundary."""

from django.contrib import admin

from core import amounts
from core.admin import LargeTableAdmin
from tiers.close.models import PeriodClose


@admin.register(PeriodClose)
class PeriodCloseAdmin(LargeTableAdmin):
    """Each boundary once."""

    list_display = [
        "organization",
        "period_index",
        "ends_at",
        "expired_",
        "kept",
        "given",
        "billed",
        "was_suspended",
        "closed_at",
    ]
    list_display_links = ["organization", "period_index"]
    list_filter = [
        "ends_at",
        "was_suspended",
        ("rolled_over", admin.EmptyFieldListFilter),
        ("statement", admin.EmptyFieldListFilter),
    ]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "=subscription__id", "organization__name"]
    ordering = ["-ends_at", "-id"]

    @admin.display(description="expired", empty_value="waits for calls")
    def expired_(self, close: PeriodClose) -> str | None:
        """Allocated credit that ended; empty while calls still hold some."""
        return None if close.expired is None else amounts.readable(close.expired)

    @admin.display(description="rolled over", empty_value="waits for calls")
    def kept(self, close: PeriodClose) -> str | None:
        """The part that was kept."""
        return None if close.rolled_over is None else amounts.readable(close.rolled_over)

    @admin.display(description="allocated")
    def given(self, close: PeriodClose) -> str:
        """Credit that came at once."""
        return amounts.readable(close.allocated)

    @admin.display(description="overage billed")
    def billed(self, close: PeriodClose) -> str:
        """What had been spent below zero."""
        return amounts.readable(close.overage_billed)
