"""The parts that the pages of coupons share: choose a type, fill in, carry out by a service."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone

from accounts.operators import operator
from accounts.principal import Actor
from core.errors import DomainError
from coupons.admin.forms import GroupedForm, NewCouponForm
from coupons.models import Kind

TYPES = {
    Kind.BONUS: "Credit in the wallet at once, for ever or for some days.",
    Kind.PERCENT: "A share off the next payments, or off all to come.",
    Kind.FREE_PERIOD: "The next payments for a plan cost nothing.",
    Kind.TIER: "A better tier for some months, then back to the one that is paid for.",
}

Done = Callable[[Actor, Any], str]  # does it and says where to go


def need(request: HttpRequest, permission: str) -> None:
    """Raise PermissionDenied for an operator without it."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def form_page(
    request: HttpRequest, *, model: type[Model], form: GroupedForm, title: str, submit: str, done: Done, **context: Any
) -> HttpResponse:
    """Show ``form``, or carry it out: ``done`` calls the service and answers with the address of what it made."""
    if form.is_bound and form.is_valid():
        try:
            return HttpResponseRedirect(done(operator(request), timezone.now()))
        except DomainError as refusal:
            form.add_refusal(refusal)
    shown = {"title": title, "form": form, "submit": submit, "opts": model._meta, **context}
    return render(request, "admin/coupons/form.html", {**admin.site.each_context(request), **shown})


def new_page(
    request: HttpRequest, *, model: type[Model], form: type[NewCouponForm], what: str, done: Callable[..., str]
) -> HttpResponse:
    """Choose a type, then fill in what that type has."""
    kind = request.GET.get("type", "")
    if kind not in Kind.values:
        shown = {"title": f"Add {what}", "opts": model._meta, "types": [(each, TYPES[each]) for each in Kind]}
        return render(request, "admin/coupons/types.html", {**admin.site.each_context(request), **shown})
    filled = form(request.POST or None, kind=kind)
    title = f"Add {what}: {Kind(kind).label.lower()}"
    return form_page(
        request,
        model=model,
        form=filled,
        title=title,
        submit="Make it",
        done=lambda actor, at: done(filled, actor, at),
        explanation=TYPES[Kind(kind)],
    )
