"""Teams: made, renamed, put away; who and which keys are in them, and since when."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify

from accounts.directory import forget_keys
from accounts.errors import TeamExists, TeamHasTeams
from accounts.models import ApiKey, Membership, Organization, Team, TeamPlacement
from accounts.principal import Actor
from accounts.querysets import ApiKeyQuerySet
from accounts.services.organizations import checked_name, live_organization, tell
from core.errors import InvalidRequest, NotFound

Subject = Membership | ApiKey
MOST_TEAMS = 500
_LONGEST_NAME = 80


@transaction.atomic
def create_team(
    *, organization_id: UUID, name: str, actor: Actor, at: datetime, department_id: UUID | None = None
) -> Team:
    """A team of the live organization, perhaps in a department. Raises TeamExists, InvalidRequest, NotFound."""
    live = live_organization(organization_id)
    name = _checked(live, name, without=None)
    if live.teams.active().count() >= MOST_TEAMS:
        raise InvalidRequest(f"An organization has up to {MOST_TEAMS} teams.")
    department = _department(live, department_id, of=None)
    team = Team.objects.create(
        organization=live, name=name, slug=_free_slug(live, name), department=department, created_at=at
    )
    _tell(team, "team.created", actor, at)
    return team


@transaction.atomic
def update_team(
    *, team_id: UUID, organization_id: UUID, name: str, department_id: UUID | None, actor: Actor, at: datetime
) -> Team:
    """Another name, or another department (None: none). Past usage goes with the team.

    Raises NotFound, TeamExists, TeamHasTeams, InvalidRequest.
    """
    live = live_organization(organization_id)
    team = _team(live, team_id)
    team.name = _checked(live, name, without=team)
    team.department = _department(live, department_id, of=team)
    if team.department is not None and team.teams.active().exists():
        raise TeamHasTeams()
    team.save(update_fields=["name", "department"])
    _tell(team, "team.updated", actor, at)
    transaction.on_commit(forget_keys)
    return team


@transaction.atomic
def archive_team(*, team_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> Team:
    """Put a team away: nobody is in it from now on, and what it used stays on record.

    Raises NotFound, TeamHasTeams.
    """
    live = live_organization(organization_id)
    team = _team(live, team_id)
    if team.teams.active().exists():
        raise TeamHasTeams()
    subjects: list[Subject] = [*team.memberships.all(), *team.api_keys.all()]
    for subject in subjects:
        _move(live, subject, None, at)
    team.archived_at = at
    team.save(update_fields=["archived_at"])
    _tell(team, "team.archived", actor, at)
    transaction.on_commit(forget_keys)
    return team


@transaction.atomic
def place_member(
    *, membership_id: UUID, organization_id: UUID, team_id: UUID | None, actor: Actor, at: datetime
) -> Membership:
    """Put a member into a team, out of the one they were in; None: into none. Raises NotFound."""
    live = live_organization(organization_id)
    member = live.memberships.select_related("user", "team").filter(id=membership_id).first()
    if member is None:
        raise NotFound()
    team = None if team_id is None else _team(live, team_id)
    if _move(live, member, team, at):
        data = {"email": member.user.email, "team": team.name if team else ""}
        tell(live.id, "member.team_changed", data, actor, at)
        transaction.on_commit(forget_keys)
    return member


@transaction.atomic
def fill_team(
    *,
    team_id: UUID,
    organization_id: UUID,
    member_ids: Collection[UUID],
    key_ids: Collection[UUID],
    actor: Actor,
    at: datetime,
) -> Team:
    """Let just these members and keys (of the organization or its test twin) be in the team. Raises NotFound."""
    live = live_organization(organization_id)
    team = _team(live, team_id)
    members, keys = live.memberships.select_related("user"), keys_of(live)
    wanted: list[Subject] = [*members.filter(id__in=member_ids), *keys.filter(id__in=key_ids)]
    if len(wanted) != len({*member_ids, *key_ids}):
        raise NotFound("There is no such member or key.")
    here: list[Subject] = [*members.filter(team=team), *keys.filter(team=team)]
    moved = [_move(live, subject, team, at) for subject in wanted]
    moved += [_move(live, subject, None, at) for subject in here if subject not in wanted]
    if any(moved):
        data = {"team": team.name, "members": len(member_ids), "api_keys": len(key_ids)}
        tell(live.id, "team.filled", data, actor, at)
        transaction.on_commit(forget_keys)
    return team


def keys_of(live: Organization) -> ApiKeyQuerySet:
    """Keys that can be in the organization's teams: its own and its test twin's."""
    return ApiKey.objects.filter(Q(organization=live) | Q(organization__live_organization=live))


def note_placement(*, organization_id: UUID, subject_id: UUID, team: Team | None, at: datetime) -> bool:
    """Keep since when a member or key is in ``team``; False when it was there already. ``organization_id``: the live
    one's."""
    last = TeamPlacement.objects.select_for_update().filter(subject_id=subject_id).order_by("-starts_at").first()
    is_open = last is not None and last.ends_at is None
    if (last.team_id if last and is_open else None) == (team.id if team else None):
        return False
    starts = at
    if last is not None:  # never before the last move: clocks of two machines differ
        starts = max(at, last.ends_at or last.starts_at)
    if last is not None and is_open:
        last.ends_at = starts
        last.save(update_fields=["ends_at"])
    if team is not None:
        TeamPlacement.objects.create(
            organization_id=organization_id, team=team, subject_id=subject_id, starts_at=starts
        )
    return True


def _move(live: Organization, subject: Subject, team: Team | None, at: datetime) -> bool:
    if subject.team_id == (team.id if team else None):
        return False
    subject.team = team
    subject.save(update_fields=["team"])
    return note_placement(organization_id=live.id, subject_id=subject.id, team=team, at=at)


def _team(live: Organization, team_id: UUID) -> Team:
    team = live.teams.active().select_related("department").filter(id=team_id).first()
    if team is None:
        raise NotFound("There is no such team.")
    return team


def _department(live: Organization, department_id: UUID | None, *, of: Team | None) -> Team | None:
    if department_id is None:
        return None
    department = _team(live, department_id)
    if department.department_id is not None or department == of:
        why = "A department stands in no other, and no team in itself."
        raise InvalidRequest(why, errors=[{"field": "department_id", "code": "invalid", "detail": why}])
    return department


def _checked(live: Organization, name: str, *, without: Team | None) -> str:
    name = checked_name(name)
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(f"A team's name has 1 to {_LONGEST_NAME} characters.")
    same = live.teams.active().filter(name__iexact=name)
    if (same.exclude(id=without.id) if without else same).exists():
        raise TeamExists()
    return name


def _free_slug(live: Organization, name: str) -> str:
    """Of the name; numbered where a team, perhaps put away, has it."""
    base = slugify(name)[:_LONGEST_NAME] or "team"
    taken = set(live.teams.filter(slug__startswith=base).values_list("slug", flat=True))
    number = 1
    while (slug := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return slug


def _tell(team: Team, type: str, actor: Actor, at: datetime) -> None:
    data = {"team": team.name, "team_id": str(team.id), "department": team.department.name if team.department else ""}
    tell(team.organization_id, type, data, actor, at)
