"""Pages of payments: buying credit, paying what is owed, saved methods, automatic top-up. They work without scripts."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import BILLING, Scope
from core.errors import DomainError
from core.ids import uuid7
from core.keyset import ById, read_page
from credits.balances import current_balance
from payments import services
from payments.forms import SUGGESTED, BuyForm, TopUpForm
from payments.models import AutoTopUp, Payment, PaymentMethod
from payments.providers import provider_name_for
from payments.services.top_ups import spent_this_month

PAGE_SIZE = 25


def leads_to_provider(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let forms of the page be answered with the provider's page: browsers apply the policy to redirects too."""

    @wraps(view)
    def widened(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return csp_update({"form-action": settings.PAYMENT_PAGE_ORIGINS})(view)(request, *args, **kwargs)

    return widened


@require_safe
@leads_to_provider
@organization_page(Scope.CREDITS_READ)
def payments(request: PageRequest) -> HttpResponse:
    """What is owed and was paid; saved methods; the rule for automatic top-ups."""
    return render(request, "payments/payments.html", _overview(request))


@leads_to_provider
@organization_page(BILLING)
def buy(request: PageRequest) -> HttpResponse:
    """Choose how much credit to buy, then go to the page to pay it on."""
    form = BuyForm(request.POST or None, initial={"credits": request.GET.get("credits"), "key": uuid7()})
    if request.method == "POST" and form.is_valid():
        try:
            bought = services.buy_credits(
                organization_id=request.organization.id,
                actor=request.principal.actor,
                at=timezone.now(),
                **form.cleaned_data,
            )
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            return _to_page_of(bought)
    context = {
        "form": form,
        "suggested": SUGGESTED,
        "balance": current_balance(request.organization.id, timezone.now()),
        "provider": _provider(request),
    }
    return render(request, "payments/buy.html", context)


@require_safe
@leads_to_provider
@organization_page(Scope.CREDITS_READ)
def payment(request: PageRequest, payment_id: UUID) -> HttpResponse:
    """One payment: where it stands, what to do. Whoever comes back from the provider's page lands here."""
    found = _own(request, payment_id)
    if "returned" in request.GET:
        found = services.refresh_payment(payment_id=found.id, at=timezone.now())
    context = {"payment": found, "may_pay": request.principal.has_scope(BILLING), "returned": "returned" in request.GET}
    return render(request, "payments/payment.html", context)


@require_POST
@leads_to_provider
@organization_page(BILLING)
def pay(request: PageRequest, payment_id: UUID) -> HttpResponse:
    """Go to the page to pay an open payment on."""
    found = _own(request, payment_id)
    try:
        return _to_page_of(services.open_checkout(payment_id=found.id, at=timezone.now()))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return redirect("payment", found.id)


@require_POST
@organization_page(BILLING)
def cancel(request: PageRequest, payment_id: UUID) -> HttpResponse:
    """Give up bought credit that nobody has paid."""
    found = _own(request, payment_id)
    try:
        if found.purpose != "credits":
            raise Http404("What is owed cannot be given up here.")
        services.cancel_payment(payment_id=found.id, actor=request.principal.actor, at=timezone.now())
        messages.success(request, _("The purchase is canceled."))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    return redirect("payment", found.id)


@require_POST
@leads_to_provider
@organization_page(BILLING)
def save_method(request: PageRequest) -> HttpResponse:
    """Go to the provider's page for saving a payment method."""
    try:
        return HttpResponseRedirect(services.open_saving(organization_id=request.organization.id))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return redirect("payments")


@require_POST
@organization_page(BILLING)
def change_method(request: PageRequest, method_id: UUID) -> HttpResponse:
    """Choose a saved method, or remove it."""
    own = PaymentMethod.objects.filter(pk=method_id, organization_id=request.organization.id)
    if not own.exists():
        raise Http404("No such payment method.")
    terms = {**_who(request), "method_id": method_id}
    try:
        if request.POST.get("do") == "remove":
            services.remove_method(**terms)
            messages.success(request, _("The payment method is removed."))
        else:
            services.set_default_method(**terms)
            messages.success(request, _("Automatic payments use it from now on."))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    return redirect("payments")


@require_POST
@leads_to_provider
@organization_page(BILLING)
def top_up(request: PageRequest) -> HttpResponse:
    """Set or remove the rule for automatic top-ups."""
    who = _who(request)
    form = TopUpForm(request.POST)
    try:
        if request.POST.get("do") == "remove":
            services.remove_auto_top_up(**who)
            messages.success(request, _("There is no automatic top-up any more."))
            return redirect("payments")
        if form.is_valid():
            services.set_auto_top_up(**who, **form.cleaned_data)
            messages.success(request, _("The automatic top-up is set."))
            return redirect("payments")
    except DomainError as refusal:
        form.add_error(None, refusal.detail)
    return render(request, "payments/payments.html", _overview(request, form), status=422)


def _overview(request: PageRequest, form: TopUpForm | None = None) -> dict[str, Any]:
    organization_id = request.organization.id
    rule = AutoTopUp.objects.filter(organization_id=organization_id).first()
    own = Payment.objects.filter(organization_id=organization_id)
    page = read_page(own, ById(), before=request.GET.get("before"), after=request.GET.get("after"), size=PAGE_SIZE)
    return {
        "page": page,
        "owed": own.unsettled().exclude(purpose="credits").newest_first()[:5],
        "methods": services.methods_of(organization_id).order_by("-is_default", "-created_at"),
        "rule": rule,
        "form": form or TopUpForm(initial=_initial(rule)),
        "spent": spent_this_month(organization_id, timezone.now()) if rule else None,
        "may_pay": request.principal.has_scope(BILLING),
        "provider": _provider(request),
    }


def _initial(rule: AutoTopUp | None) -> dict[str, Any]:
    if rule is None:
        return {"threshold": "5.00", "amount": "25.00", "is_enabled": True}
    cap = rule.monthly_cap
    return {
        "threshold": f"{rule.threshold:.2f}",
        "amount": f"{rule.amount:.2f}",
        "monthly_cap": "" if cap is None else f"{cap:.2f}",
        "is_enabled": rule.is_enabled,
    }


def _to_page_of(found: Payment) -> HttpResponseRedirect:
    if found.status == "open" and found.checkout_url and found.checkout_reference:
        return HttpResponseRedirect(found.checkout_url)
    return redirect("payment", found.id)


def _who(request: PageRequest) -> dict[str, Any]:
    return {
        "organization_id": request.organization.id,
        "actor": request.principal.actor,
        "at": timezone.now(),
    }


def _provider(request: PageRequest) -> str:
    return provider_name_for(is_test=request.organization.is_test)


def _own(request: PageRequest, payment_id: UUID) -> Payment:
    found = Payment.objects.filter(pk=payment_id, organization_id=request.organization.id).first()
    if found is None:
        raise Http404("No such payment.")
    return found
