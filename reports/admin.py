"""Operators' pages of reports: what is wanted, and what was written."""

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from reports.models import Report, ReportSubscription


@admin.register(ReportSubscription)
class ReportSubscriptionAdmin(ReadOnlyAdmin):
    """Reports that organizations want. They choose them themselves."""

    list_display = ["organization", "team", "cadence", "format", "next_day", "next_at", "refused_at"]
    list_filter = ["cadence", "format", "refused_at"]
    list_select_related = ["organization", "team"]
    search_fields = ["organization__name", "=organization__id", "team__name", "=id"]


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """Reports that were written; their e-mails are among the e-mails."""

    list_display = ["subject", "organization", "cadence", "first_day", "last_day", "recipients", "created_at"]
    list_filter = ["cadence", "format"]
    list_select_related = ["organization"]
    search_fields = ["subject", "organization__name", "=organization__id", "=id"]
    date_hierarchy = "created_at"
