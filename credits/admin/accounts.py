"""Wallets: what each organization has, and the doors to moving it."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from core.admin import ReadOnlyAdmin
from core.templatetags.farebox import money
from credits.admin.forms import AdjustForm, DeductForm, GrantForm, MovementForm
from credits.admin.movements import PERMISSION, movement_page
from credits.models import CreditAccount
from credits.wallet import wallet_of

_LATEST = 15


@admin.register(CreditAccount)
class CreditAccountAdmin(ReadOnlyAdmin):
    """Wallets. Money is added and taken on pages of their own, with a reason and a preview."""

    list_display = ["organization", "mode", "balance", "held", "shown_available", "shown_overage"]
    list_filter = ["organization__mode"]
    list_select_related = ["organization"]
    search_fields = ["organization__name", "=organization__id", "organization__memberships__user__email"]
    ordering = ["-balance"]
    change_form_template = "admin/credits/creditaccount/change_form.html"
    fieldsets = [
        (None, {"fields": ["organization", "overage_limit", "low_balance_at", "entry_count", "last_posted_at"]})
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditAccount]:
        """With the column that the list sorts by."""
        return super().get_queryset(request).annotate(open_amount=F("balance") - F("held"))

    @admin.display(ordering="organization__mode")
    def mode(self, account: CreditAccount) -> str:
        """Live or test."""
        return account.organization.mode

    @admin.display(description="available", ordering="open_amount")
    def shown_available(self, account: CreditAccount) -> str:
        """Balance less holds."""
        return money(account.available)

    @admin.display(description="owed", ordering="overage")
    def shown_overage(self, account: CreditAccount) -> str:
        """Spent below zero."""
        return money(account.overage or None)

    def get_urls(self) -> list[URLPattern]:
        """The pages that move money come before the catch-all of the change page."""
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:account_id>/grant/", wrap(self.grant), name="credits_creditaccount_grant"),
            path("<uuid:account_id>/deduct/", wrap(self.deduct), name="credits_creditaccount_deduct"),
            path("<uuid:account_id>/adjust/", wrap(self.adjust), name="credits_creditaccount_adjust"),
            *super().get_urls(),
        ]

    def grant(self, request: HttpRequest, account_id: UUID) -> HttpResponse:
        """Add credit."""
        return self._movement(request, account_id, GrantForm)

    def deduct(self, request: HttpRequest, account_id: UUID) -> HttpResponse:
        """Take credit."""
        return self._movement(request, account_id, DeductForm)

    def adjust(self, request: HttpRequest, account_id: UUID) -> HttpResponse:
        """Correct the balance."""
        return self._movement(request, account_id, AdjustForm)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The wallet as its owner sees it, its lots and its latest movements."""
        account = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if account is not None:
            shown = {
                "title": "Wallet",
                "subtitle": str(account.organization),
                "wallet": wallet_of(account.pk, timezone.now()),
                "entries": account.entries.newest_first()[:_LATEST],
                "may_move": request.user.has_perm(PERMISSION),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def _movement(self, request: HttpRequest, account_id: UUID, form: type[MovementForm]) -> HttpResponse:
        account = CreditAccount.objects.select_related("organization").filter(pk=account_id).first()
        if account is None:
            raise Http404("No such credit account.")
        return movement_page(request, account, form(request.POST or None))
