"""Saved payment methods, discounts and rules for automatic top-ups: to be looked at."""

from typing import ClassVar

from django.contrib import admin

from core import amounts
from core.admin import LargeTableAdmin
from payments.models import AutoTopUp, Discount, Dispute, PaymentMethod


class _OfOrganizations(LargeTableAdmin):
    list_select_related: ClassVar[list[str]] = ["organization"]


@admin.register(PaymentMethod)
class PaymentMethodAdmin(_OfOrganizations):
    """Cards and accounts that providers keep for us."""

    list_display = ["created_at", "organization", "label", "provider", "is_default", "removed_at"]
    list_filter = ["provider", "is_default", "removed_at"]
    search_fields = ["organization__name", "=reference", "=customer", "label"]
    ordering = ["-created_at"]


@admin.register(Discount)
class DiscountAdmin(_OfOrganizations):
    """Percentages off the next payments."""

    list_display = [
        "created_at",
        "organization",
        "percent",
        "applies_to",
        "uses_left",
        "source",
        "starts_at",
        "ends_at",
    ]
    list_filter = ["applies_to", "ends_at"]
    search_fields = ["organization__name", "source", "=key"]
    ordering = ["-created_at"]


@admin.register(AutoTopUp)
class AutoTopUpAdmin(_OfOrganizations):
    """Credit that buys itself."""

    list_display = ["organization", "shown_rule", "shown_cap", "is_enabled", "paused_at", "pause_reason"]
    list_filter = ["is_enabled", "paused_at", "paused_by_dispute"]
    search_fields = ["organization__name"]
    ordering = ["-updated_at"]

    @admin.display(description="buys", ordering="amount")
    def shown_rule(self, rule: AutoTopUp) -> str:
        """USD, and when."""
        return str(rule)

    @admin.display(description="at most in a month", ordering="monthly_cap", empty_value="no cap")
    def shown_cap(self, rule: AutoTopUp) -> str | None:
        """USD."""
        return None if rule.monthly_cap is None else amounts.readable(rule.monthly_cap)


@admin.register(Dispute)
class DisputeAdmin(_OfOrganizations):
    """Payments that somebody disputes with the bank; answered on the provider's own pages."""

    list_display = ["opened_at", "organization", "payment", "shown_amount", "reason", "status", "taken", "closed_at"]
    list_filter = ["status", "provider", "opened_at"]
    list_select_related: ClassVar[list[str]] = ["organization", "payment"]
    search_fields = ["organization__name", "=reference", "=payment__id"]
    ordering = ["-opened_at", "-id"]

    @admin.display(description="amount", ordering="amount")
    def shown_amount(self, dispute: Dispute) -> str:
        """USD."""
        return amounts.full(dispute.amount)

    @admin.display(description="credit taken back")
    def taken(self, dispute: Dispute) -> str:
        """USD."""
        return amounts.full(dispute.credits_taken)
