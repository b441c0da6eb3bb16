"""Pages on which an operator does one thing to one row: what it means, the fields, one button."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from core.errors import DomainError


def action_page(
    request: HttpRequest,
    row: Model,
    form: forms.Form,
    *,
    title: str,
    lead: str,
    work: Callable[[], Any],
    facts: dict[str, Any],
    then: str = "",
    permission: str = "",
) -> HttpResponse:
    """Show ``form``, or carry ``work`` out; what a service refuses is told beside the fields.

    Afterwards leads to ``then``, else to the row. For operators with ``permission``, else those who may change the row.
    """
    opts = row._meta
    if not request.user.has_perm(permission or f"{opts.app_label}.change_{opts.model_name}"):
        raise PermissionDenied
    back = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
    if request.method == "POST" and form.is_valid():
        try:
            said = work()
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            messages.success(request, said)
            return HttpResponseRedirect(then or back)
    words = {"title": f"{title}: {row}", "action": title, "lead": lead, "facts": facts}
    return render(request, "admin/action.html", {**_frame(request, row), **words, "form": form, "back": back})


def _frame(request: HttpRequest, row: Model) -> dict[str, Any]:
    opts = row._meta
    changelist = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    return {**admin.site.each_context(request), "row": row, "opts": opts, "changelist": changelist}
