"""Period closes: what was done at each boundary."""

from django.contrib import admin

from core.admin import LargeTableAdmin
from core.templatetags.farebox import money
from tiers.close.models import PeriodClose


@admin.register(PeriodClose)
class PeriodCloseAdmin(LargeTableAdmin):
    """Each boundary once."""

    list_display = ["organization", "period_index", "ends_at", "expired_", "kept", "allocated", "overage_billed"]
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
        return None if close.expired is None else money(close.expired)

    @admin.display(description="rolled over", empty_value="waits for calls")
    def kept(self, close: PeriodClose) -> str | None:
        """The part that was kept."""
        return None if close.rolled_over is None else money(close.rolled_over)
