"""Pages of budgets: how each stands, one in detail, making and changing them."""

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from core.errors import DomainError
from credits.models import SpendLimit
from metering.budgets.charts import window_chart
from metering.budgets.forms import SCOPE_LABELS, BudgetForm, change_form_of
from metering.budgets.models import Budget, Period
from metering.budgets.models import Scope as Whose
from metering.budgets.state import BudgetState, state_of, states_of
from metering.budgets.usage import events_in_scope
from metering.services import BudgetTerms, create_budget, delete_budget, update_budget
from tiers.permits import included

PAST_WINDOWS = 12
RECENT = 8


@require_safe
@organization_page(Scope.USAGE_READ)
def budgets(request: PageRequest) -> HttpResponse:
    """All budgets and how they stand."""
    found = Budget.objects.filter(organization=request.organization).order_by("created_at", "id")
    states = sorted(states_of(found, timezone.now()), key=lambda each: -each.percent)
    context = {"states": states, "may_change": _may_change(request), "may_have": bool(_periods(request))}
    return render(request, "metering/budgets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page(MANAGE)
def new_budget(request: PageRequest) -> HttpResponse:
    """Make a budget: whose usage first (``?scope=``), then the rest."""
    scopes = included(request.organization.id, "budget_scopes", Whose.values)
    periods = _periods(request)
    if not scopes or not periods:
        return render(request, "metering/budgets.html", {"states": [], "may_change": True, "may_have": False})
    scope = request.GET.get("scope", "")
    scope = scope if scope in scopes else scopes[0]
    form = BudgetForm(
        request.POST or None,
        scope=scope,
        organization=request.organization,
        periods=periods,
        initial={"period": _usual(periods)},
    )
    if request.method == "POST" and form.is_valid():
        try:
            budget = create_budget(terms=BudgetTerms(**form.values()), **_who_and_when(request))
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            messages.success(request, _("The budget is in force. What was used in this window before counts."))
            return redirect("budget", budget.pk)
    tabs = [{"url": f"?scope={each}", "label": SCOPE_LABELS[Whose(each)], "current": each == scope} for each in scopes]
    return render(request, "metering/budget_form.html", {"form": form, "tabs": tabs})


@require_safe
@organization_page(Scope.USAGE_READ)
def budget(request: PageRequest, budget_id: UUID) -> HttpResponse:
    """One budget: its window as a picture, the windows before, what counted last."""
    state = state_of(_budget(request, budget_id), timezone.now())
    zone = ZoneInfo(request.organization.time_zone)
    windows = SpendLimit.objects.filter(budget_id=budget_id, starts_at__lt=state.starts_at).order_by("-starts_at")
    context = {
        "state": state,
        "chart": window_chart(state, zone) if state.starts_at <= state.at else None,
        "past": windows[:PAST_WINDOWS],
        "zone": zone,
        "latest": _latest(state),
        "may_change": _may_change(request),
    }
    return render(request, "metering/budget.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page(MANAGE)
def change_budget(request: PageRequest, budget_id: UUID) -> HttpResponse:
    """Another amount, other thresholds, another name, period or enforcement."""
    budget = _budget(request, budget_id)
    form = change_form_of(budget, request.POST or None, _periods(request))
    if request.method == "POST" and form.is_valid():
        try:
            update_budget(budget_id=budget_id, **form.values(), **_who_and_when(request))
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            messages.success(request, _("Saved. Calls follow it within two seconds."))
            return redirect("budget", budget_id)
    return render(
        request,
        "metering/budget_form.html",
        {"form": form, "budget": budget, "state": state_of(budget, timezone.now())},
    )


@require_POST
@organization_page(MANAGE)
def remove_budget(request: PageRequest, budget_id: UUID) -> HttpResponse:
    """Delete a budget."""
    name = _budget(request, budget_id).name
    delete_budget(budget_id=budget_id, **_who_and_when(request))
    messages.success(request, _("“%s” is deleted.") % name)
    return redirect("budgets")


def _budget(request: PageRequest, budget_id: UUID) -> Budget:
    found = Budget.objects.filter(organization=request.organization, pk=budget_id).first()
    if found is None:
        raise Http404("No such budget.")
    return found


def _latest(state: BudgetState) -> list[Any]:
    events = events_in_scope(state.budget).filter(occurred_at__gte=state.starts_at)
    if state.resets_at is not None:
        events = events.filter(occurred_at__lt=state.resets_at)
    return list(events.defer("derivation", "metadata")[:RECENT])


def _periods(request: PageRequest) -> list[str]:
    return included(request.organization.id, "budget_periods", Period.values)


def _usual(periods: list[str]) -> str:
    return Period.MONTHLY if Period.MONTHLY in periods else periods[0]


def _may_change(request: PageRequest) -> bool:
    return request.principal.has_scope(MANAGE)


def _who_and_when(request: PageRequest) -> dict[str, Any]:
    return {
        "organization_id": request.organization.id,
        "actor": request.principal.as_actor,
        "at": timezone.now(),
    }
