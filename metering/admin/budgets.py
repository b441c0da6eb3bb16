"""Operators' page of budgets: what customers have set, and changing it for them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone

from core.admin import ServiceAdmin
from core.amounts import readable
from credits.models import SpendLimit
from metering.budgets.models import Budget
from metering.budgets.subjects import text_of
from metering.services import delete_budget, update_budget

_CHANGEABLE = ["name", "period", "amount", "enforcement", "thresholds", "max_prompt_tokens"]


@admin.register(Budget)
class BudgetAdmin(ServiceAdmin):
    """Budgets as they stand. Customers make them; whose usage one counts never changes."""

    list_display = ["name", "organization", "scope", "period", "spent_of", "enforcement", "created_at"]
    list_filter = ["scope", "period", "enforcement"]
    list_select_related = ["organization"]
    search_fields = ["name", "organization__name"]
    search_help_text = "Part of a budget’s or an organization’s name."
    fields = ["organization", "scope", "subject_text", "spent_of", "held_of", "window", *_CHANGEABLE, "created_at"]
    readonly_fields = ["organization", "scope", "subject_text", "spent_of", "held_of", "window", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        """With the window of now."""
        now = timezone.now()
        current = SpendLimit.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), budget_id=OuterRef("pk"))
        current = current.filter(starts_at__lte=now).order_by("-starts_at")
        names = {"now_spent": "spent", "now_held": "held", "now_from": "starts_at", "now_to": "ends_at"}
        found = {name: Subquery(current.values(column)[:1]) for name, column in names.items()}
        return super().get_queryset(request).annotate(**found, share=F("now_spent") / F("amount"))

    @admin.display(description="Spent", ordering="share")
    def spent_of(self, budget: Any) -> str:
        """In the window of now, of how much."""
        return f"{readable(budget.now_spent or Decimal(0))} of {readable(budget.amount)}"

    @admin.display(description="Held by running calls")
    def held_of(self, budget: Any) -> str:
        """In the window of now."""
        return readable(budget.now_held or Decimal(0))

    @admin.display(description="Window")
    def window(self, budget: Any) -> str:
        """From when to when."""
        if budget.now_from is None:
            return "Nothing has counted yet"
        until = "for ever" if budget.now_to is None else f"to {_text(budget.now_to)}"
        return f"{_text(budget.now_from)} {until} (UTC)"

    @admin.display(description="Subject")
    def subject_text(self, budget: Budget) -> str:
        """As the API names it."""
        return text_of(budget) or "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: a budget is its organization's own wish."""
        return False

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        """Through the service, which brings the window in line."""
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in _CHANGEABLE}
        update_budget(
            organization_id=obj.organization_id, budget_id=obj.pk, actor=str(request.user), at=timezone.now(), **changes
        )

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        """Through the service, with its windows."""
        who, at = str(request.user), timezone.now()
        delete_budget(organization_id=obj.organization_id, budget_id=obj.pk, actor=who, at=at)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        """One by one."""
        for budget in queryset:
            self.delete_model(request, budget)


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
