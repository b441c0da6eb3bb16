"""The page on which an operator moves money: fill in, see exactly what would happen, confirm."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from accounts.operators import operator
from core import amounts
from core.errors import DomainError
from credits.admin.forms import MovementForm
from credits.balances import Balance, current_balance
from credits.models import CreditAccount, LedgerEntry
from credits.paper_trail import Part, lots_of
from credits.services import Posting

PERMISSION = "credits.add_ledgerentry"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a movement would do."""

    before: Balance
    after: Posting
    entry: LedgerEntry
    parts: list[Part]


def movement_page(request: HttpRequest, account: CreditAccount, form: MovementForm) -> HttpResponse:
    """Show, preview or carry out ``form`` for ``account``. The preview is the movement itself, rolled back."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    preview = None
    if form.is_bound and form.is_valid():
        try:
            if "confirm" in request.POST:
                return _carry_out(request, account, form)
            preview = _preview(request, account, form)
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
    return render(request, "admin/credits/movement.html", _context(request, account, form, preview))


def _move(request: HttpRequest, account: CreditAccount, form: MovementForm) -> Posting:
    return form.move(organization_id=account.pk, actor=operator(request).label, at=timezone.now())


def _preview(request: HttpRequest, account: CreditAccount, form: MovementForm) -> Preview:
    before = current_balance(account.pk, timezone.now())
    with transaction.atomic():
        after = _move(request, account, form)
        entry = LedgerEntry.objects.filter(account_id=account.pk).latest("number")
        parts = lots_of(entry)
        transaction.set_rollback(True)
    return Preview(before, after, entry, parts)


def _carry_out(request: HttpRequest, account: CreditAccount, form: MovementForm) -> HttpResponse:
    posting = _move(request, account, form)
    said = "was carried out before; nothing moved again" if posting.replayed else "is done"
    text = f"{form.title} {said}. Balance: {amounts.full(posting.balance)}."
    messages.success(request, text)
    return HttpResponseRedirect(reverse("admin:credits_creditaccount_change", args=[account.pk]))


def _context(
    request: HttpRequest, account: CreditAccount, form: MovementForm, preview: Preview | None
) -> dict[str, Any]:
    return {
        **admin.site.each_context(request),
        "title": f"{form.title}: {account.organization}",
        "account": account,
        "opts": CreditAccount._meta,
        "form": form,
        "preview": preview,
        "balance": current_balance(account.pk, timezone.now()),
    }
