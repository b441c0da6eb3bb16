"""Operators' pages of the advice: what-ifs over all organizations, and what customers are recommended."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.operators import operator
from advice.findings.words import title_of
from advice.models import Recommendation, RecommendationReview, WhatIfRun, WrittenAdvice
from advice.services import start_what_if
from advice.what_if.forms import WhatIfForm, first_values
from advice.what_if.reading import Asked
from advice.what_if.words import answer_of, change_words
from core.admin import ReadOnlyAdmin
from core.csvlines import csv_lines
from core.errors import DomainError
from core.money import to_wire
from metering.models import LanguageModel

_SHOWN = 100  # organizations on the page; the CSV has all
_FIGURES = ("provider_cost", "markup", "charge", "byok_cost", "spend")
_COLUMNS = (
    *("organization_id", "name", "events"),
    *(f"{side}_{figure}" for side in ("recorded", "replayed") for figure in _FIGURES),
    *("difference", "events_not_made"),
)


@admin.register(WhatIfRun)
class WhatIfRunAdmin(ReadOnlyAdmin):
    """What-ifs: those of customers, and an operator's over all live organizations. They change nothing."""

    list_display = [
        "created_at",
        "said",
        "organization",
        "starts_at",
        "ends_at",
        "status",
        "events_done",
        "requested_by",
    ]
    list_filter = ["status", ("organization", admin.EmptyFieldListFilter)]
    search_fields = ["=organization__id", "organization__name", "requested_by"]
    list_select_related = ["organization"]
    ordering = ["-created_at"]

    @admin.display(description="What if")
    def said(self, run: WhatIfRun) -> str:
        """The change in words."""
        return change_words(run)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may see the answers may ask: nothing moves."""
        return request.user.has_perm("advice.view_whatifrun")

    def get_urls(self) -> list[URLPattern]:
        """With the figures of every organization as CSV."""
        csv = self.admin_site.admin_view(self.csv_view)
        return [path("<uuid:run_id>/organizations.csv", csv, name="advice_whatifrun_csv"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask about all live organizations."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        initial = first_values(timezone.now().date())
        form = WhatIfForm(request.POST or None, initial=initial, may_use_any_tier=True)
        if request.method == "POST" and form.is_valid():
            try:
                run = _start(request, form)
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return HttpResponseRedirect(_page_of(run))
        context = {
            **self.admin_site.each_context(request),
            "title": "What if, for all organizations",
            "opts": self.opts,
            "form": form,
            "models": LanguageModel.objects.filter(vanished_at=None).order_by("id").values_list("id", flat=True),
        }
        return render(request, "admin/advice/what_if_form.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The answer, with the organizations it would change most."""
        run = self.get_object(request, object_id)
        if run is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if not self.has_view_permission(request, run) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": change_words(run).capitalize(),
            "opts": self.opts,
            "run": run,
            "answer": answer_of(run),
            "organizations": [_line(row) for row in run.by_organization[:_SHOWN]],
            "more": max(len(run.by_organization) - _SHOWN, 0),
            "csv_url": reverse("admin:advice_whatifrun_csv", args=[run.pk]) if run.by_organization else "",
        }
        return render(request, "admin/advice/what_if.html", context)

    def csv_view(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Every organization's figures."""
        run = WhatIfRun.objects.filter(pk=run_id).first()
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        if run is None:
            raise Http404("No such what-if.")
        lines = csv_lines(_COLUMNS, map(_cells, run.by_organization))
        headers = {"Content-Disposition": f'attachment; filename="what-if-{run.pk}.csv"'}
        return HttpResponse("".join(lines), content_type="text/csv; charset=utf-8", headers=headers)


def _start(request: HttpRequest, form: WhatIfForm) -> WhatIfRun:
    data = form.cleaned_data
    start = datetime.combine(data["start"], time.min, UTC)
    end = datetime.combine(data["end"] + timedelta(days=1), time.min, UTC)
    return start_what_if(
        organization_id=None,
        asked=Asked(start, end, form.only),
        change=form.change(),
        requested_by=operator(request).label,
        at=timezone.now(),
    )


def _page_of(run: WhatIfRun) -> str:
    return reverse("admin:advice_whatifrun_change", args=[run.pk])


def _line(row: dict[str, Any]) -> dict[str, Any]:
    recorded, replayed = Decimal(row["recorded"]["spend"]), Decimal(row["replayed"]["spend"])
    margin = Decimal(row["replayed"]["markup"]) - Decimal(row["recorded"]["markup"])
    return {
        "id": row["organization_id"],
        "name": row["name"],
        "events": row["recorded"]["events"],
        "recorded": recorded,
        "replayed": replayed,
        "difference": replayed - recorded,
        "margin": margin,
    }


def _cells(row: dict[str, Any]) -> list[Any]:
    amounts = [row[side][figure] for side in ("recorded", "replayed") for figure in _FIGURES]
    lost = row["recorded"]["events"] - row["replayed"]["events"]
    difference = to_wire(Decimal(row["replayed"]["spend"]) - Decimal(row["recorded"]["spend"]))
    return [row["organization_id"], row["name"], row["recorded"]["events"], *amounts, difference, lost]


@admin.register(Recommendation)
class RecommendationAdmin(ReadOnlyAdmin):
    """What customers are recommended, and what they made of it."""

    list_display = ["organization", "said", "saving", "confidence", "state", "computed_at", "decided_by"]
    list_filter = ["state", "kind", "confidence"]
    search_fields = ["subject", "=organization__id", "organization__name"]
    list_select_related = ["organization"]
    ordering = ["-saving"]

    @admin.display(description="Recommendation")
    def said(self, row: Recommendation) -> str:
        """In a line."""
        return title_of(row.kind, row.evidence)


@admin.register(RecommendationReview)
class RecommendationReviewAdmin(ReadOnlyAdmin):
    """When each organization's usage was last looked through."""

    list_display = ["organization", "computed_at", "events", "spend"]
    search_fields = ["=organization__id", "organization__name"]
    list_select_related = ["organization"]
    ordering = ["-computed_at"]


@admin.register(WrittenAdvice)
class WrittenAdviceAdmin(ReadOnlyAdmin):
    """What customers had written, from which figures, and what it cost the platform."""

    list_display = [
        "created_at",
        "organization",
        "state",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cost",
        "error",
    ]
    list_filter = ["state"]
    search_fields = ["=organization__id", "organization__name", "requested_by"]
    list_select_related = ["organization"]
    ordering = ["-created_at"]
