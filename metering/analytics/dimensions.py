"""What usage can be told apart by: names in questions, columns of the sums, and words for what stands in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import ApiKey, Membership, Organization, Team
from metering.forms import KIND_LABELS
from metering.models import Kind

TAG = "tag"
# Tags that have a name of their own in questions.
NAMED_TAGS = {"prompt": "prompt_id", "feature": "feature"}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing to group by. ``slug`` is its name in questions and answers; ``tag_key`` is set for tags alone."""

    slug: str
    column: str
    tag_key: str = ""


COLUMNS = {
    "model": "model",
    "kind": "kind",
    "name": "name",
    "member": "member_id",
    "team": "team_id",
    "department": "team_id",
    "key": "api_key_id",
    "free": "is_free",
    "byok": "is_byok",
}
SLUGS = (*COLUMNS, *NAMED_TAGS, "tag:<key>")


def dimension_of(slug: str) -> Dimension | None:
    """The dimension of this name; None for a name that there is not."""
    if slug in COLUMNS:
        return Dimension(slug, COLUMNS[slug])
    if slug in NAMED_TAGS:
        return Dimension(slug, "tag_value", NAMED_TAGS[slug])
    kind, colon, key = slug.partition(":")
    return Dimension(slug, "tag_value", key) if kind == TAG and colon and key else None


def departments_of(organization: Organization) -> dict[UUID, UUID]:
    """The department of each team: itself where it stands in none."""
    teams = Team.objects.filter(organization_id=live_id(organization)).values_list("id", "department_id")
    return {team: department or team for team, department in teams}


def within(organization: Organization, team_id: UUID) -> list[UUID]:
    """A team and those that stand in it, put away or not; empty for somebody else's."""
    departments = departments_of(organization)
    if team_id not in departments:
        return []
    return [team_id, *(team for team, department in departments.items() if department == team_id != team)]


def live_id(organization: Organization) -> UUID:
    """Whose people and teams they are, also when its test twin uses something."""
    return organization.live_organization_id or organization.id


def labels_of(organization: Organization, slug: str, values: Iterable[Any]) -> Mapping[Any, str]:
    """What the values of a dimension are called, by value; missing: the value itself."""
    values = set(values)
    known = [value for value in values if value is not None]
    owner = live_id(organization)
    match slug:
        case "member":
            members = Membership.objects.filter(organization_id=owner, id__in=known).values_list("id", "user__email")
            return _filled(values, dict(members), _("Somebody who has left"), _("Keys without a member"))
        case "key":
            keys = ApiKey.objects.filter(organization_id=organization.id, id__in=known).values_list("id", "name")
            return _filled(values, dict(keys), _("A deleted key"), _("Without a key"))
        case "team" | "department":
            teams = Team.objects.filter(organization_id=owner, id__in=known).values_list("id", "name")
            return _filled(values, dict(teams), _("A deleted team"), _("In no team"))
        case "kind":
            return {value: str(KIND_LABELS[Kind(value)]) for value in values if value}
    return {}


def _filled(values: Iterable[Any], found: dict[Any, str], gone: str, none: str) -> dict[Any, str]:
    return {value: none if value is None else found.get(value, gone) for value in values}
