"""Entries, lots, holds and spend limits: to be looked at. A charge can be given back from its page."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from core.admin import LargeTableAdmin
from core.templatetags.farebox import money_signed
from credits.admin.forms import RefundForm
from credits.admin.movements import PERMISSION, movement_page
from credits.models import Hold, LedgerEntry, Lot, SpendLimit
from credits.paper_trail import lots_of, money_back


class _Books(LargeTableAdmin):
    """Long tables, without a query per row."""

    list_select_related = ["account__organization"]

    @admin.display(description="organization")
    def organization(self, row: Any) -> str:
        """Whose it is."""
        return str(row.account.organization)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(_Books):
    """The ledger."""

    list_display = ["posted_at", "number", "organization", "kind", "shown_amount", "balance_after", "reason", "actor"]
    list_display_links = ["posted_at", "number"]
    list_filter = ["kind", "posted_at", "account__organization__mode"]
    search_fields = ["=id", "=event_id", "=hold_id", "account__organization__name", "reason", "actor"]
    ordering = ["-posted_at", "-number"]
    exclude = ["allocations"]  # a table below the fields
    change_form_template = "admin/credits/ledgerentry/change_form.html"

    @admin.display(description="amount", ordering="amount")
    def shown_amount(self, entry: LedgerEntry) -> str:
        """Signed."""
        return money_signed(entry.amount)

    def get_urls(self) -> list[URLPattern]:
        """The page that gives a charge back."""
        refund = self.admin_site.admin_view(self.refund)
        return [path("<uuid:entry_id>/refund/", refund, name="credits_ledgerentry_refund"), *super().get_urls()]

    def refund(self, request: HttpRequest, entry_id: UUID) -> HttpResponse:
        """Give a charge back, in whole or in part."""
        entry = LedgerEntry.objects.select_related("account__organization").filter(pk=entry_id).first()
        if entry is None:
            raise Http404("No such ledger entry.")
        return movement_page(request, entry.account, RefundForm(request.POST or None, entry=entry))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The entry with its lots and what was given back of it."""
        entry = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if entry is not None:
            returned = money_back(entry)
            open_amount = -entry.amount - returned
            may_refund = request.user.has_perm(PERMISSION) and open_amount > 0
            shown = {
                "title": f"Ledger entry {entry.number}",
                "subtitle": str(entry.account.organization),
                "parts": lots_of(entry),
                "returned": returned,
                "may_refund": may_refund,
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})


@admin.register(Lot)
class LotAdmin(_Books):
    """Lots of credit."""

    list_display = ["created_at", "organization", "kind", "amount", "remaining", "held", "priority", "expires_at"]
    list_filter = ["kind", "expires_at", "account__organization__mode"]
    search_fields = ["=id", "account__organization__name"]
    ordering = ["-created_at"]


@admin.register(Hold)
class HoldAdmin(_Books):
    """Credit set aside for calls."""

    list_display = ["placed_at", "organization", "status", "purpose", "amount", "settled_amount", "expires_at"]
    list_filter = ["status", "purpose", "placed_at"]
    search_fields = ["=id", "=key", "account__organization__name"]
    ordering = ["-placed_at"]


@admin.register(SpendLimit)
class SpendLimitAdmin(_Books):
    """Hard ceilings below the wallet."""

    list_display = ["id", "organization", "ceiling", "spent", "held", "excess"]
    search_fields = ["=id", "account__organization__name"]
