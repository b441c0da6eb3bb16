"""The dashboard of a team or department: spend over time, its people and keys, its budgets."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.entitlements import DASHBOARDS, page_requires
from accounts.models import Organization, Team
from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from metering.analysis import Analysis, Days, analyse, metrics
from metering.analytics.dimensions import live_id, within
from metering.budgets.models import Budget
from metering.budgets.models import Scope as Whose
from metering.budgets.state import states_of
from metering.forms import RANGES, UsageForm
from metering.usage_pages import days_asked, may_compare


@require_safe
@organization_page(Scope.USAGE_READ)
def team_dashboard(request: PageRequest, team_id: UUID) -> HttpResponse:
    """What a team spends; of a department also what each of its teams does."""
    page_requires(request, DASHBOARDS, "team")
    team = _team(request, team_id)
    form = UsageForm(request.GET)
    days, kept = days_asked(request, form)
    compares = may_compare(days, kept)
    only = {"team_id__in": within(request.organization, team.id)}
    by = ["model", "member", "key", *(["team"] if len(only["team_id__in"]) > 1 else [])]
    parts = {slug: _part(request.organization, days, slug, only, compares) for slug in by}
    context = {
        "team": team,
        "days": days,
        "ranges": RANGES,
        "preset": form.preset,
        "compares": compares,
        "analysis": parts["model"],
        "parts": [(slug, parts[slug].groups[:10], _more(team, slug, days)) for slug in reversed(by)],
        "budgets": _budgets(request, team),
        "may_manage": request.principal.has_scope(MANAGE),
        "usage_url": _more(team, "model", days),
    }
    return render(request, "metering/team.html", context)


def _part(organization: Organization, days: Days, by: str, only: dict[str, Any], compare: bool) -> Analysis:
    return analyse(organization, days, by=by, metric=metrics()[0], compare=compare, only=only)


def _budgets(request: PageRequest, team: Team) -> Any:
    own = Budget.objects.filter(organization=request.organization, scope=Whose.TEAM)
    about = [team.id, team.department_id] if team.department_id else [team.id]
    return states_of(own.filter(subject_id__in=about).order_by("created_at", "id"), timezone.now())


def _more(team: Team, by: str, days: Days) -> str:
    query = {"team": str(team.id), "by": by, "start": days.first.isoformat(), "end": days.last.isoformat()}
    return f"{reverse('usage')}?{urlencode(query)}"


def _team(request: PageRequest, team_id: UUID) -> Team:
    own = Team.objects.filter(organization_id=live_id(request.organization)).counted()
    team = own.select_related("department").filter(id=team_id).first()
    if team is None:
        raise Http404("No such team.")
    return team
