"""Checkouts, orders, subscriptions and charges of organizations' customers. Amounts are in whole cents of USD."""

from typing import Any

from django.contrib import admin

from billing.admin.lines import Lines
from billing.amounts import dollars
from billing.models import Charge, Checkout, CustomerSubscription, Order, OrderItem, Refund, SubscriptionPrice
from core.admin import LargeTable, ReadOnlyAdmin

_SECRET = ("client_secret",)  # whoever has it may pay on the page


class _Shown:
    """The amount as people read it."""

    @admin.display(description="amount", ordering="amount")
    def shown(self, row: Any) -> str:
        """Dollars and cents."""
        return dollars(row.amount)


class _Items(Lines):
    model = OrderItem
    fields = ["label", "amount", "consumed", "credited", "start_at", "end_at"]


@admin.register(Order)
class OrderAdmin(_Shown, LargeTable, ReadOnlyAdmin):
    """What customers were billed."""

    list_display = ["invoice_number", "organization", "customer", "product", "billing_reason", "status", "shown"]
    list_display += ["created_at"]
    list_filter = ["status", "billing_reason", "created_at", "organization__mode"]
    list_select_related = ["organization", "customer", "product"]
    search_fields = ["=id", "=invoice_number", "customer__email__istartswith", "organization__name"]
    ordering = ["-created_at", "-id"]
    inlines = [_Items]


class _Prices(Lines):
    model = SubscriptionPrice
    fields = ["price", "created_at"]


@admin.register(CustomerSubscription)
class CustomerSubscriptionAdmin(_Shown, LargeTable, ReadOnlyAdmin):
    """Recurring products that customers have."""

    list_display = ["customer", "organization", "product", "status", "shown", "current_period_end"]
    list_display += ["cancel_at_period_end"]
    list_filter = ["status", "cancel_at_period_end", "organization__mode"]
    list_select_related = ["organization", "customer", "product"]
    search_fields = ["=id", "customer__email__istartswith", "=customer__external_id", "organization__name"]
    ordering = ["-created_at", "-id"]
    inlines = [_Prices]


@admin.register(Checkout)
class CheckoutAdmin(_Shown, LargeTable, ReadOnlyAdmin):
    """Offers, and what became of them."""

    list_display = ["created_at", "organization", "product", "customer", "status", "shown", "expires_at"]
    list_filter = ["status", "created_at", "organization__mode"]
    list_select_related = ["organization", "customer", "product"]
    search_fields = ["=id", "customer_email__istartswith", "=external_customer_id", "organization__name"]
    ordering = ["-created_at", "-id"]
    exclude = _SECRET


@admin.register(Charge)
class ChargeAdmin(_Shown, LargeTable, ReadOnlyAdmin):
    """What providers were asked to collect."""

    list_display = ["created_at", "organization", "customer", "shown", "provider", "status", "attempts", "retry_at"]
    list_display += ["failure_code"]
    list_filter = ["status", "provider", "created_at", "organization__mode"]
    list_select_related = ["organization", "customer"]
    search_fields = ["=id", "=reference", "customer__email__istartswith", "organization__name"]
    ordering = ["-created_at", "-id"]
    exclude = ("token",)


@admin.register(Refund)
class RefundAdmin(_Shown, LargeTable, ReadOnlyAdmin):
    """What was given back of orders."""

    list_display = ["created_at", "organization", "order", "shown", "reason", "status", "retry_at", "failure_message"]
    list_filter = ["status", "reason", "created_at", "organization__mode"]
    list_select_related = ["organization", "order"]
    search_fields = ["=id", "=reference", "=order__invoice_number", "organization__name"]
    ordering = ["-created_at", "-id"]
