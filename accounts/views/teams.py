"""Teams and departments: listed, made, changed, put away. What they spend is on a page of usage."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services
from accounts.entitlements import TEAMS, NotInTier, require
from accounts.forms_teams import TeamForm, TeamMembersForm
from accounts.models import Organization, Team
from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from core.errors import DomainError


@require_http_methods(["GET"])
@organization_page(Scope.USAGE_READ)
def teams(request: PageRequest) -> HttpResponse:
    """The teams, those of a department below it."""
    return _teams_page(request, TeamForm(live=_live(request)))


@require_POST
@organization_page(MANAGE)
def new_team(request: PageRequest) -> HttpResponse:
    """Make a team."""
    live = _live(request)
    form = TeamForm(request.POST, live=live)
    if form.is_valid():
        try:
            require(live.id, TEAMS)
            team = services.create_team(**form.wish(), **_change(request))
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            messages.success(request, _("{name} is made. Choose who is in it.").format(name=team.name))
            return redirect("team_settings", team.id)
    return _teams_page(request, form, status=400)


@require_http_methods(["GET", "POST"])
@organization_page(MANAGE)
def team_settings(request: PageRequest, team_id: UUID) -> HttpResponse:
    """Name, department, members and keys of a team."""
    live, team = _live(request), _team(request, team_id)
    given = request.POST or None
    first = {"name": team.name, "department": team.department_id}
    form = TeamForm(given, live=live, team=team, initial=first, prefix="team")
    people = TeamMembersForm(given, live=live, team=team)
    if request.method == "POST" and form.is_valid() and people.is_valid():
        try:
            _save(request, team, form, people)
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            messages.success(request, _("{name} is saved.").format(name=form.cleaned_data["name"]))
            return redirect("teams")
    return render(request, "accounts/team_settings.html", {"team": team, "form": form, "people": people})


@require_POST
@organization_page(MANAGE)
def put_team_away(request: PageRequest, team_id: UUID) -> HttpResponse:
    """Nobody is in it any more; its past stays."""
    team = _team(request, team_id)
    try:
        services.archive_team(team_id=team.id, **_change(request))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, _("{name} is put away; what it used stays on record.").format(name=team.name))
    return redirect("teams")


def _save(request: PageRequest, team: Team, form: TeamForm, people: TeamMembersForm) -> None:
    require(_live(request).id, TEAMS)
    services.update_team(team_id=team.id, **form.wish(), **_change(request))
    services.fill_team(
        team_id=team.id, member_ids=people.ids("members"), key_ids=people.ids("keys"), **_change(request)
    )


def _teams_page(request: PageRequest, form: TeamForm, status: int = 200) -> HttpResponse:
    live = _live(request)
    context = {
        "rows": _in_order(list(live.teams.active().counted().order_by("name"))),
        "form": form,
        "may_manage": request.principal.has_scope(MANAGE),
        "refusal": _refusal(live),
    }
    return render(request, "accounts/teams.html", context, status=status)


def _in_order(found: list[Team]) -> list[Team]:
    """Each department, then its teams."""
    tops = [team for team in found if team.department_id is None]
    return [each for top in tops for each in (top, *(team for team in found if team.department_id == top.id))]


def _refusal(live: Organization) -> NotInTier | None:
    try:
        require(live.id, TEAMS)
    except NotInTier as refusal:
        return refusal
    return None


def _live(request: PageRequest) -> Organization:
    return request.organization.live_organization or request.organization


def _team(request: PageRequest, team_id: UUID) -> Team:
    team = _live(request).teams.active().select_related("department").filter(id=team_id).first()
    if team is None:
        raise Http404("No such team.")
    return team


def _change(request: PageRequest) -> dict[str, Any]:
    return {"organization_id": _live(request).id, "actor": request.principal.as_actor, "at": timezone.now()}
