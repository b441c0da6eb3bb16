"""Files of movements: sent in, looked at line by line, confirmed, followed, and taken away as CSV."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.operators import operator
from core.admin import ReadOnlyAdmin
from core.csvlines import csv_lines
from core.errors import DomainError
from core.money import ZERO, to_wire
from credits.admin.movements import PERMISSION
from credits.batch_file import COLUMNS
from credits.operations import BatchStatus, MovementBatch, MovementRow, RowStatus
from credits.services.batches import check_batch, confirm_batch, discard_batch, retry_batch

_LARGEST = 2 * 1024 * 1024
_PAGE = 100
_RESULTS = ("line", *COLUMNS, "status", "error", "moved", "balance_after", "entry")


class BatchForm(forms.Form):
    """What an operator sends in."""

    name = forms.CharField(
        max_length=80,
        help_text="Of your choosing, one for each file: under one name money moves once, however often it is sent.",
    )
    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        help_text="On the ledger of every customer whose line has no reason of its own.",
    )
    file = forms.FileField(label="CSV file", widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}))

    def clean_file(self) -> Any:
        """Not larger than any list of two thousand movements."""
        file = self.cleaned_data["file"]
        if file.size > _LARGEST:
            raise forms.ValidationError("The file is larger than 2 MB.")
        return file


@dataclass(frozen=True, slots=True)
class Totals:
    """What the lines of one action add up to, USD."""

    action: str
    rows: int
    amount: Decimal


@admin.register(MovementBatch)
class MovementBatchAdmin(ReadOnlyAdmin):
    """Movements in bulk. Nothing moves before every line of a file can be carried out and somebody has confirmed it."""

    list_display = ["name", "status", "row_count", "invalid_count", "uploaded_by", "uploaded_at", "confirmed_by"]
    list_filter = ["status"]
    search_fields = ["name", "reason", "uploaded_by", "confirmed_by"]
    ordering = ["-uploaded_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may move money."""
        return request.user.has_perm(PERMISSION)

    def get_urls(self) -> list[URLPattern]:
        """The pages around one file."""
        wrap, name = self.admin_site.admin_view, "credits_movementbatch"
        return [
            path("template.csv", wrap(self.template_view), name=f"{name}_template"),
            path("<uuid:batch_id>/confirm/", wrap(self.confirm_view), name=f"{name}_confirm"),
            path("<uuid:batch_id>/retry/", wrap(self.retry_view), name=f"{name}_retry"),
            path("<uuid:batch_id>/discard/", wrap(self.discard_view), name=f"{name}_discard"),
            path("<uuid:batch_id>/result.csv", wrap(self.result_view), name=f"{name}_result"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Send a file in; it is checked, and nothing moves."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BatchForm(request.POST or None, request.FILES or None)
        if form.is_valid():
            data = form.cleaned_data
            try:
                batch, is_new = check_batch(
                    name=data["name"],
                    reason=data["reason"],
                    file_name=data["file"].name,
                    content=data["file"].read(),
                    actor=operator(request),
                    at=timezone.now(),
                )
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                if not is_new:
                    self.message_user(
                        request, "This file was carried out before; nothing moves again.", messages.WARNING
                    )
                return HttpResponseRedirect(_page_of(batch))
        context = {**self.admin_site.each_context(request), "title": "Move credit in bulk", "opts": self.opts}
        return render(request, "admin/credits/movementbatch/add.html", {**context, "form": form, "columns": COLUMNS})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A file: what its lines would do, or did."""
        batch = self.get_object(request, object_id)
        if batch is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if not self.has_view_permission(request, batch) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        counts = batch.rows.aggregate(
            **{status.value: Count("id", filter=Q(status=status)) for status in RowStatus},
            noted=Count("id", ~Q(note="")),
        )
        rows = batch.rows.select_related("organization").order_by("line")
        shown = request.GET.get("only", "")
        if shown in RowStatus.values:
            rows = rows.filter(status=shown)
        context = {
            **self.admin_site.each_context(request),
            "title": f"File of movements “{batch.name}”",
            "opts": self.opts,
            "batch": batch,
            "counts": counts,
            "totals": _totals(batch),
            "page": Paginator(rows, _PAGE).get_page(request.GET.get("page")),
            "only": shown,
            "twins": MovementBatch.objects.filter(digest=batch.digest)
            .exclude(pk=batch.pk)
            .exclude(status=BatchStatus.CHECKED)[:3],
            "may_move": request.user.has_perm(PERMISSION),
        }
        return render(request, "admin/credits/movementbatch/batch.html", context)

    def confirm_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """Let the movements be carried out."""
        said = "The movements are on their way: a worker carries them out, line by line."
        return self._decide(request, batch_id, said, lambda: confirm_batch(**self._by(request, batch_id)))

    def retry_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """Try the refused lines again."""
        return self._decide(
            request, batch_id, "Tried again in a moment.", lambda: retry_batch(**self._by(request, batch_id))
        )

    def discard_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """Forget a file of which nothing was carried out."""
        return self._decide(
            request, batch_id, "The file is forgotten.", lambda: discard_batch(**self._by(request, batch_id))
        )

    def result_view(self, request: HttpRequest, batch_id: UUID) -> HttpResponse:
        """Every line with what became of it."""
        batch = MovementBatch.objects.filter(pk=batch_id).first()
        if not self.has_view_permission(request, batch):
            raise PermissionDenied
        if batch is None:
            raise Http404("No such file of movements.")
        return _csv(f"{batch.name}-results", csv_lines(_RESULTS, map(_result, batch.rows.order_by("line"))))

    def template_view(self, request: HttpRequest) -> HttpResponse:
        """The first line of a file, and an example of each action."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        examples = [
            ("Analytical Engines", "grant", "25.00", "bonus", "2027-01-01", "", "Apology for Tuesday"),
            ("0192f5d2-0000-7000-8000-000000000000", "deduct", "5.00", "", "", "", "Workshop"),
            ("Analytical Engines", "adjust", "-0.50", "", "", "", ""),
            ("Analytical Engines", "refund", "", "", "", "0192f5d2-0000-7000-8000-000000000001", "Failed call"),
        ]
        return _csv("movements", csv_lines(COLUMNS, examples))

    def _by(self, request: HttpRequest, batch_id: UUID) -> dict[str, Any]:
        return {"batch_id": batch_id, "actor": operator(request), "at": timezone.now()}

    def _decide(self, request: HttpRequest, batch_id: UUID, said: str, decide: Callable[[], Any]) -> HttpResponse:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            decide()
        except DomainError as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
        else:
            self.message_user(request, said, messages.SUCCESS)
        batch = MovementBatch.objects.filter(pk=batch_id).first()
        return HttpResponseRedirect(_page_of(batch) if batch else reverse("admin:credits_movementbatch_changelist"))


def _page_of(batch: MovementBatch) -> str:
    return reverse("admin:credits_movementbatch_change", args=[batch.pk])


def _totals(batch: MovementBatch) -> list[Totals]:
    """By action: what was moved, or what would be."""
    rows = batch.rows.exclude(status__in=(RowStatus.INVALID, RowStatus.FAILED)).values("action").order_by("action")
    found = rows.annotate(count=Count("id"), total=Sum("moved"))
    return [Totals(row["action"], row["count"], row["total"] or ZERO) for row in found]


def _result(row: MovementRow) -> list[Any]:
    amounts = ["" if value is None else to_wire(value) for value in (row.moved, row.balance_after)]
    cells = [row.cells.get(name, "") for name in COLUMNS]
    return [row.line, *cells, row.status, row.error, *amounts, row.entry_id or ""]


def _csv(name: str, lines: Iterator[str]) -> HttpResponse:
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    headers = {"Content-Disposition": f'attachment; filename="{safe}.csv"'}
    return HttpResponse("".join(lines), content_type="text/csv; charset=utf-8", headers=headers)
