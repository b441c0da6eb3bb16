"""Operators' pages of re-ratings: tried, looked at organization by organization, applied, reversed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.operators import operator
from core import jsonio
from core.admin import ReadOnlyAdmin
from core.csvlines import csv_lines
from core.errors import DomainError
from core.forms import DayField
from metering.models import ModelPrice
from metering.rerating.models import ReratedStatus, Rerating
from metering.rerating.services import apply_rerating, days_of, reverse_rerating, try_rerating

_SHOWN = 100
_COLUMNS = (
    "organization_id",
    "event_id",
    "occurred_at",
    "before",
    "after",
    "status",
    "replacement_id",
    "restored_id",
    "error",
)


class ReratingForm(forms.Form):
    """Which price row was wrong, what it should have been, for which days."""

    price = forms.UUIDField(label="Price row", help_text="Its id, from the list of prices.")
    pricing = forms.CharField(
        label="Corrected price",
        widget=forms.Textarea(attrs={"rows": 6, "cols": 60, "spellcheck": "false"}),
        help_text='Price classes in USD per unit, as text: {"prompt": "0.000001", "completion": "0.000002"}',
    )
    first = DayField(label="From", required=True, help_text="A day of UTC.")
    last = DayField(label="To", required=True, help_text="Included.")
    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        help_text="On the ledger of every customer whom it concerns.",
    )

    def clean_pricing(self) -> Any:
        """A JSON object with exact numbers."""
        try:
            pricing = jsonio.loads(self.cleaned_data["pricing"])
        except ValueError:
            raise forms.ValidationError("This is not JSON.") from None
        if not isinstance(pricing, dict):
            raise forms.ValidationError("Give an object of prices by class.")
        return pricing


@admin.register(Rerating)
class ReratingAdmin(ReadOnlyAdmin):
    """Wrong prices set right after the fact. Nothing moves before the differences were looked at and confirmed."""

    list_display = ["created_at", "price", "status", "expected", "difference", "created_by"]
    list_filter = ["status"]
    search_fields = ["price__model__id", "reason", "created_by"]
    list_select_related = ["price"]
    ordering = ["-created_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may correct charges."""
        return request.user.has_perm("metering.add_rerating")

    def get_urls(self) -> list[URLPattern]:
        """The pages around one re-rating."""
        wrap, name = self.admin_site.admin_view, "metering_rerating"
        return [
            path("<uuid:rerating_id>/apply/", wrap(self.apply_view), name=f"{name}_apply"),
            path("<uuid:rerating_id>/reverse/", wrap(self.reverse_view), name=f"{name}_reverse"),
            path("<uuid:rerating_id>/events.csv", wrap(self.csv_view), name=f"{name}_csv"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Try one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ReratingForm(request.POST or None, initial=_initial(request.GET.get("price", "")))
        if request.method == "POST" and form.is_valid():
            try:
                rerating = _try(request, form.cleaned_data)
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return HttpResponseRedirect(_page_of(rerating.pk))
        context = {**self.admin_site.each_context(request), "title": "Re-rate a wrong price", "opts": self.opts}
        return render(request, "admin/metering/rerating/add.html", {**context, "form": form})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What it would do, does or did."""
        rerating = self.get_object(request, object_id)
        if rerating is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if not self.has_view_permission(request, rerating) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        states = {each.value: Count("id", Q(status=each)) for each in ReratedStatus}
        context = {
            **self.admin_site.each_context(request),
            "title": f"Re-rating of {rerating.price}",
            "opts": self.opts,
            "rerating": rerating,
            "counts": rerating.events.aggregate(**states),
            "rows": [_line(row) for row in rerating.report[:_SHOWN]],
            "more": max(len(rerating.report) - _SHOWN, 0),
            "refused": rerating.events.filter(status=ReratedStatus.REFUSED).select_related("organization")[:20],
            "before": _pairs(rerating.price.pricing),
            "after": _pairs(rerating.pricing),
            "may_act": self.has_add_permission(request),
        }
        return render(request, "admin/metering/rerating/rerating.html", context)

    def apply_view(self, request: HttpRequest, rerating_id: UUID) -> HttpResponse:
        """Carry it out."""
        return self._decide(request, rerating_id, apply_rerating, "It is on its way: a worker corrects event by event.")

    def reverse_view(self, request: HttpRequest, rerating_id: UUID) -> HttpResponse:
        """Undo it."""
        return self._decide(request, rerating_id, reverse_rerating, "It is being undone, event by event.")

    def csv_view(self, request: HttpRequest, rerating_id: UUID) -> HttpResponse:
        """Every event with what became of it."""
        rerating = Rerating.objects.filter(pk=rerating_id).first()
        if not self.has_view_permission(request, rerating):
            raise PermissionDenied
        if rerating is None:
            raise Http404("No such re-rating.")
        rows = rerating.events.order_by("organization_id", "occurred_at", "id").values_list(*_COLUMNS)
        headers = {"Content-Disposition": f'attachment; filename="re-rating-{rerating.pk}.csv"'}
        lines = csv_lines(_COLUMNS, rows.iterator(chunk_size=2_000))
        return HttpResponse("".join(lines), content_type="text/csv; charset=utf-8", headers=headers)

    def _decide(self, request: HttpRequest, rerating_id: UUID, decide: Callable[..., Any], said: str) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            decide(rerating_id=rerating_id, actor=operator(request), at=timezone.now())
        except DomainError as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
        else:
            self.message_user(request, said, messages.SUCCESS)
        return HttpResponseRedirect(_page_of(rerating_id))


def _try(request: HttpRequest, data: dict[str, Any]) -> Rerating:
    start, end = days_of(data["first"], data["last"])
    return try_rerating(
        price_id=data["price"],
        pricing=data["pricing"],
        starts_at=start,
        ends_at=end,
        reason=data["reason"],
        actor=operator(request),
        at=timezone.now(),
    )


def _initial(price_id: str) -> dict[str, Any]:
    """The form for a price row: its own prices, for as long as it held."""
    try:
        price = ModelPrice.objects.filter(pk=UUID(price_id)).first()
    except ValueError:
        price = None
    if price is None:
        return {}
    last = min(price.effective_to or timezone.now(), timezone.now())
    pricing = jsonio.dumps(price.pricing).decode()
    return {"price": price.pk, "pricing": pricing, "first": price.effective_from.date(), "last": last.date()}


def _page_of(rerating_id: UUID) -> str:
    return reverse("admin:metering_rerating_change", args=[rerating_id])


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **{name: Decimal(row[name]) for name in ("before", "after", "difference")}}


def _pairs(pricing: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(pricing.items())
