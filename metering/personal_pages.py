"""The dashboard of whoever looks at it: their own spend over time, by model, prompt and key, and their budgets."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.entitlements import DASHBOARDS, page_requires
from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from metering.analysis import Analysis, Days, analyse, metrics
from metering.budgets.models import Budget
from metering.budgets.models import Scope as Whose
from metering.budgets.state import BudgetState, states_of
from metering.forms import RANGES, UsageForm
from metering.usage_pages import PROMPT_TAG, days_asked, may_compare

_LINES = 10


@require_safe
@organization_page(Scope.USAGE_READ)
def personal_dashboard(request: PageRequest) -> HttpResponse:
    """What the person who looks has used."""
    page_requires(request, DASHBOARDS, "personal")
    form = UsageForm(request.GET)
    days, kept = days_asked(request, form)
    compares = may_compare(days, kept)
    parts = {by: _part(request, by, days, compare=compares) for by in ("key", "prompt", "model")}
    asked = form.span(days.last)[0]
    context = {
        "days": days,
        "ranges": RANGES,
        "preset": form.preset,
        "kept": kept if kept is not None and asked < kept else None,
        "compares": compares,
        "analysis": parts["model"],
        "parts": [(by, part.groups[:_LINES], "") for by, part in parts.items()],
        "budgets": _budgets(request),
        "events_url": _events(request, days),
    }
    return render(request, "metering/personal.html", context)


def _part(request: PageRequest, by: str, days: Days, *, compare: bool) -> Analysis:
    dimension = {"by": "tag", "tag_key": PROMPT_TAG} if by == "prompt" else {"by": by}
    only = {"member_id": request.principal.member_id}
    return analyse(request.organization, days, metric=metrics()[0], compare=compare, only=only, **dimension)


def _budgets(request: PageRequest) -> list[BudgetState]:
    own = Budget.objects.filter(
        organization=request.organization, scope=Whose.MEMBER, subject_id=request.principal.member_id
    )
    return states_of(own.order_by("created_at", "id"), timezone.now())


def _events(request: PageRequest, days: Days) -> str:
    query: dict[str, Any] = {"start": days.first.isoformat(), "end": days.last.isoformat()}
    return f"{reverse('usage_events')}?{urlencode({'member': str(request.principal.member_id), **query})}"
