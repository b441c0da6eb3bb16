"""Merchants' customers, and the credit on their meters."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from billing.admin.lines import Lines
from billing.amounts import plain
from billing.models import BenefitGrant, Customer, CustomerMeter, CustomerSubscription, MeterCredit
from core.admin import LargeTable, ReadOnlyAdmin
from metering.meters.models import Meter


class _Subscriptions(Lines):
    model = CustomerSubscription
    fields = ["product", "status", "amount", "current_period_end", "cancel_at_period_end", "ended_at"]
    ordering = ["-created_at"]


class _Grants(Lines):
    model = BenefitGrant
    fields = ["benefit", "granted_at", "revoked_at"]
    ordering = ["-granted_at"]


@admin.register(Customer)
class CustomerAdmin(LargeTable, ReadOnlyAdmin):
    """Whom organizations sell to."""

    list_display = ["email", "name", "external_id", "organization", "created_at", "deleted_at"]
    list_filter = ["organization__mode", "created_at"]
    list_select_related = ["organization"]
    search_fields = ["=id", "email__istartswith", "=external_id", "name__istartswith", "organization__name"]
    ordering = ["-created_at", "-id"]
    inlines = [_Subscriptions, _Grants]
    fieldsets = [
        (None, {"fields": ["organization", "email", "name", "external_id", "metadata"]}),
        ("Billing", {"fields": ["billing_name", "billing_address", "tax_id", "payment_method_label", "invoices"]}),
        ("Times", {"fields": ["created_at", "modified_at", "deleted_at", "usage_since"]}),
    ]


class _Movements(Lines):
    model = MeterCredit
    fields = ["number", "kind", "units", "applied", "credited_after", "used", "reason", "effective_at"]
    readonly_fields = ["used"]
    ordering = ["-number"]

    @admin.display(description="used")
    def used(self, row: MeterCredit) -> str:
        """At a reset: what the closed window came to."""
        return "–" if row.consumed is None else plain(row.consumed)


@admin.register(CustomerMeter)
class CustomerMeterAdmin(LargeTable, ReadOnlyAdmin):
    """A customer's credit on one meter."""

    list_display = ["customer", "meter", "credited", "rollover_credited", "window", "window_started_at"]
    list_select_related = ["customer"]
    search_fields = ["=id", "customer__email__istartswith", "=customer__external_id"]
    ordering = ["-created_at", "-id"]
    fields = ["customer", "meter", "credited", "rollover_credited", "window", "window_started_at", "created_at"]
    readonly_fields = ["meter"]
    inlines = [_Movements]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerMeter]:
        """With the names of their meters."""
        name = Meter.objects.filter(pk=OuterRef("meter_id")).values("name")[:1]
        return super().get_queryset(request).annotate(meter_name=Subquery(name))

    @admin.display(description="meter", ordering="meter_name")
    def meter(self, row: Any) -> str:
        """Its name."""
        return row.meter_name or "–"


@admin.register(MeterCredit)
class MeterCreditAdmin(LargeTable, ReadOnlyAdmin):
    """The ledger of meter credit: never edited, not even by a superuser."""

    list_display = ["effective_at", "customer", "kind", "units", "applied", "credited_after", "reason", "actor"]
    list_display_links = ["effective_at"]
    list_filter = ["kind", "effective_at"]
    list_select_related = ["customer_meter__customer"]
    search_fields = ["=id", "customer_meter__customer__email__istartswith", "reason", "actor"]
    ordering = ["-created_at", "-number"]

    @admin.display(description="customer")
    def customer(self, row: MeterCredit) -> str:
        """Whose credit it is."""
        return str(row.customer_meter.customer)
