"""Pages of the ledger."""

from uuid import UUID

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.actors import keys_that_acted
from accounts.entitlements import EXPORTS, page_requires
from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from core.keyset import read_page
from credits.forms import EntryFilterForm
from credits.models import Hold, LedgerEntry
from credits.paper_trail import lots_of, money_back
from credits.querysets import ByNumber, LedgerEntryQuerySet
from credits.viewsets import entry_csv

PAGE_SIZE = 50


@require_safe
@organization_page(Scope.CREDITS_READ)
def transactions(request: PageRequest) -> HttpResponse:
    """The ledger, newest first, filtered."""
    form = EntryFilterForm(request.GET)
    page = read_page(
        form.apply(_entries(request)),
        ByNumber(),
        before=request.GET.get("before"),
        after=request.GET.get("after"),
        size=PAGE_SIZE,
    )
    keys = keys_that_acted(request.organization, [entry.actor for entry in page.rows])
    return render(request, "credits/transactions.html", {"form": form, "page": page, "keys": keys})


@require_safe
@organization_page(Scope.CREDITS_READ)
def transactions_csv(request: PageRequest) -> HttpResponseBase:
    """The filtered ledger, all of it, as it is read."""
    page_requires(request, EXPORTS, "csv")
    entries = EntryFilterForm(request.GET).apply(_entries(request)).order_by("-number")
    response = StreamingHttpResponse(entry_csv(entries), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="transactions.csv"'
    return response


@require_safe
@organization_page(Scope.CREDITS_READ)
def transaction(request: PageRequest, entry_id: UUID) -> HttpResponse:
    """One movement: the lots it touched, what caused it, and what became of it."""
    entry = _entries(request).select_related("reverses").filter(pk=entry_id).first()
    if entry is None:
        raise Http404("No such transaction.")
    context = {
        "entry": entry,
        "parts": lots_of(entry),
        "hold": Hold.objects.filter(pk=entry.hold_id, account_id=entry.account_id).first() if entry.hold_id else None,
        "returns": entry.reversals.order_by("number"),
        "returned": money_back(entry),
        "keys": keys_that_acted(request.organization, [entry.actor]),
    }
    return render(request, "credits/transaction.html", context)


def _entries(request: PageRequest) -> LedgerEntryQuerySet:
    return LedgerEntry.objects.filter(account_id=request.organization.id)
