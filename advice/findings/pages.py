"""Pages of recommendations."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from advice import services
from advice.errors import UnknownRecommendation
from advice.findings.reading import advice_for, has_figures, level_of, review_of
from advice.models import RecommendationState
from advice.written.reading import written_for
from core.errors import DomainError

_TABS = (RecommendationState.OPEN, RecommendationState.APPLIED, RecommendationState.DISMISSED)


@require_safe
@organization_page(Scope.USAGE_READ)
def recommendations(request: PageRequest) -> HttpResponse:
    """What would save money, with its evidence; those that are followed; those that were dismissed."""
    organization_id = request.organization.id
    state = request.GET.get("state", RecommendationState.OPEN)
    if state not in _TABS:
        state = RecommendationState.OPEN
    level = level_of(organization_id)
    found = advice_for(organization_id, state__in=_TABS)
    counts = {tab: sum(each.row.state == tab for each in found) for tab in _TABS}
    context: dict[str, Any] = {
        "review": review_of(organization_id),
        "state": state,
        "tabs": _tabs(state, counts),
        "advice": [each for each in found if each.row.state == state],
        "with_figures": has_figures(level),
        "written": written_for(request.organization),
        "may_decide": request.principal.has_scope(MANAGE),
    }
    return render(request, "advice/recommendations.html", context)


@require_POST
@organization_page(MANAGE)
def decide(request: PageRequest, recommendation_id: UUID, decision: str) -> HttpResponse:
    """Apply, withdraw, dismiss or reopen one."""
    carry_out, said = _DECISIONS[decision]
    more = {"reason": request.POST.get("reason", "")} if decision == "dismiss" else {}
    try:
        carry_out(
            recommendation_id=recommendation_id,
            organization_id=request.organization.id,
            actor=request.principal.as_actor,
            at=timezone.now(),
            **more,
        )
    except UnknownRecommendation:
        raise Http404("No such recommendation.") from None
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, said())
    return redirect("recommendations")


_DECISIONS: dict[str, tuple[Callable[..., Any], Callable[[], str]]] = {
    "apply": (services.apply_recommendation, lambda: _("The gateway follows it from now on. You can undo it here.")),
    "withdraw": (services.withdraw_recommendation, lambda: _("It is undone: your calls are routed as before.")),
    "dismiss": (services.dismiss_recommendation, lambda: _("It is dismissed, and stays so until you open it again.")),
    "reopen": (services.reopen_recommendation, lambda: _("It is open again.")),
}


def _tabs(state: str, counts: dict[RecommendationState, int]) -> list[dict[str, Any]]:
    labels = {
        RecommendationState.OPEN: _("Open"),
        RecommendationState.APPLIED: _("Followed"),
        RecommendationState.DISMISSED: _("Dismissed"),
    }
    return [
        {"url": f"?state={tab.value}", "label": labels[tab], "count": counts[tab] or "", "current": tab == state}
        for tab in _TABS
    ]
