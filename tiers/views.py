"""Pages of plans: what one has, what others offer, and a switch after seeing what it does."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from core.errors import DomainError
from core.money import ZERO, InvalidAmount, parse_money
from payments.models import Payment
from payments.views import leads_to_provider
from tiers import services
from tiers.comparison import comparison_of
from tiers.forms import SwitchForm
from tiers.planning import SwitchPreview
from tiers.services.switching import SwitchOutcome
from tiers.words import markup_words


@require_safe
@organization_page(Scope.CREDITS_READ)
def plan(request: PageRequest) -> HttpResponse:
    """The present plan, and the others beside it."""
    comparison = comparison_of(request.organization.id, timezone.now())
    context = {"comparison": comparison, "may_switch": request.principal.has_scope(MANAGE)}
    return render(request, "tiers/plan.html", context)


@require_http_methods(["GET", "POST"])
@never_cache
@leads_to_provider
@organization_page(MANAGE)
def switch(request: PageRequest) -> HttpResponse:
    """What a switch would cost and bring, and when; the answer to it is the switch."""
    form = SwitchForm(request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        messages.error(request, _("Choose one of these plans."))
        return redirect("plan")
    now = timezone.now()
    asked = {"organization_id": request.organization.id, "public_only": True, "at": now, **form.choice()}
    try:
        preview = services.preview_switch(**asked)
        if request.method == "POST" and preview.amount <= _seen(request):
            outcome = services.switch_tier(**asked, actor=request.principal.as_actor, key=f"page:{form.once()}")
            return _after(request, outcome, now)
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return redirect("plan")
    return render(request, "tiers/switch.html", _preview_context(form, preview, is_dearer=request.method == "POST"))


def _preview_context(form: SwitchForm, preview: SwitchPreview, *, is_dearer: bool) -> dict[str, Any]:
    return {"preview": preview, "key": form.once(), "markup": markup_words(preview.option), "is_dearer": is_dearer}


def _seen(request: PageRequest) -> Any:
    """The amount that the reader agreed to: a switch never costs more than its preview said."""
    try:
        return parse_money(request.POST.get("amount", ""))
    except InvalidAmount:
        return ZERO


def _after(request: PageRequest, outcome: SwitchOutcome, at: datetime) -> HttpResponse:
    payment = outcome.payment
    if payment is None:
        messages.success(request, _told(outcome))
        return redirect("plan")
    if not outcome.replayed:
        services.collect_now(payment=payment, at=at)
    payment = Payment.objects.get(pk=payment.pk)
    if payment.status == "open" and payment.checkout_url and payment.checkout_reference:
        return HttpResponseRedirect(payment.checkout_url)
    return redirect("payment", payment.pk)


def _told(outcome: SwitchOutcome) -> str:
    change = outcome.change
    names = {"tier": change.to_tier.name}
    if change.status == "scheduled":
        day = timezone.localtime(change.effective_at)
        return _("You move to %(tier)s on %(day)s.") % {**names, "day": f"{day:%B} {day.day}"}
    return _("You are on %(tier)s.") % names


def _acting(act: Callable[..., Any], told: Callable[[], str]) -> Callable[..., HttpResponseBase]:
    @require_POST
    @organization_page(MANAGE)
    def view(request: PageRequest) -> HttpResponse:
        try:
            who = {"organization_id": request.organization.id, "actor": request.principal.as_actor}
            act(**who, at=timezone.now(), by_customer=True)
            messages.success(request, told())
        except DomainError as refusal:
            messages.error(request, refusal.detail)
        return redirect("plan")

    return view


cancel = _acting(services.cancel_subscription, lambda: _("The plan ends with its month. Until then nothing changes."))
reactivate = _acting(services.reactivate_subscription, lambda: _("The plan goes on after the month’s end."))


@require_POST
@organization_page(MANAGE)
def start_trial(request: PageRequest) -> HttpResponse:
    """Try a plan; the organization has one trial."""
    form = SwitchForm(request.POST)
    try:
        if form.is_valid():
            services.start_trial(
                organization_id=request.organization.id,
                at=timezone.now(),
                actor=request.principal.as_actor,
                public_only=True,
                **form.choice(),
            )
            messages.success(
                request, _("The trial has begun. When it ends the first month is charged, unless you cancel before.")
            )
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    return redirect("plan")
