"""What organizations sell."""

from django.contrib import admin

from billing.admin.lines import Lines
from billing.models import Benefit, Product, ProductBenefit, ProductPrice
from core.admin import ReadOnlyAdmin


class _Prices(Lines):
    model = ProductPrice
    fields = ["kind", "price_amount", "unit_amount", "cap_amount", "meter_id", "is_archived"]


class _Benefits(Lines):
    model = ProductBenefit
    fields = ["position", "benefit"]


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    """Amounts are in cents."""

    list_display = ["name", "organization", "recurring_interval", "is_archived", "created_at"]
    list_filter = ["recurring_interval", "is_archived", "organization__mode"]
    list_select_related = ["organization"]
    search_fields = ["=id", "name", "organization__name"]
    ordering = ["-created_at", "-id"]
    inlines = [_Prices, _Benefits]


@admin.register(Benefit)
class BenefitAdmin(ReadOnlyAdmin):
    """What comes with products."""

    list_display = ["description", "organization", "type", "units", "rollover", "created_at", "deleted_at"]
    list_filter = ["type", "rollover"]
    list_select_related = ["organization"]
    search_fields = ["=id", "description", "organization__name"]
    ordering = ["-created_at", "-id"]
