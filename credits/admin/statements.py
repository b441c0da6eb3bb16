"""Statements: to be looked at, and taken as a file."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import LargeTableAdmin
from credits.models import Statement
from credits.statement_views import pdf_answer
from credits.statements import figures_of


@admin.register(Statement)
class StatementAdmin(LargeTableAdmin):
    """What each organization was told of its periods."""

    list_display = ["organization", "number", "title", "starts_at", "ends_at", "opening", "closing", "document"]
    list_display_links = ["organization", "number"]
    list_filter = ["ends_at"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "organization__name", "title"]
    ordering = ["-ends_at", "-id"]

    @admin.display(description="document")
    def document(self, statement: Statement) -> SafeString:
        """The file that the customer gets."""
        return format_html('<a href="{}">PDF</a>', reverse("admin:credits_statement_pdf", args=[statement.pk]))

    def get_urls(self) -> list[URLPattern]:
        """The PDF beside the usual pages."""
        pdf = self.admin_site.admin_view(self.pdf)
        return [path("<uuid:statement_id>/pdf/", pdf, name="credits_statement_pdf"), *super().get_urls()]

    def pdf(self, request: HttpRequest, statement_id: Any) -> HttpResponse:
        """One statement as its customer sees it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        statement = get_object_or_404(Statement.objects.select_related("organization"), pk=statement_id)
        return pdf_answer(figures_of(statement), statement.organization.name)
