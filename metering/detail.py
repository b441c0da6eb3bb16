"""How finely a tier lets usage be told apart: by model and kind for all, by person, key and tag where costs are tracked
in detail, by team where teams have dashboards."""

from collections.abc import Container, Iterable
from uuid import UUID

from accounts.entitlements import COST_TRACKING, DASHBOARDS, require

DETAILED = "detailed"
_TEAM = "team"
BREAKDOWNS = (COST_TRACKING, DETAILED), (DASHBOARDS, _TEAM)
# By the names of dimensions and by the columns that a question is narrowed by.
_FOR_ALL = {"model", "kind", "name", "free", "byok", "is_free", "is_byok"}
_OF_TEAMS = {"team", "department", "team_id__in"}


def require_detail(organization_id: UUID, names: Iterable[str]) -> None:
    """Pass if the tier shows usage by all of ``names``: dimensions, or columns that it is narrowed by.

    Raises NotInTier.
    """
    for name in names:
        if name in _OF_TEAMS:
            require(organization_id, DASHBOARDS, _TEAM)
        elif name not in _FOR_ALL:
            require(organization_id, COST_TRACKING, DETAILED)


def shown_among(names: Iterable[str], offer: Container[tuple[str, str]]) -> list[str]:
    """Those of ``names`` that a tier with this ``offer`` (of BREAKDOWNS) shows usage by, in their order."""
    is_detailed, has_teams = (each in offer for each in BREAKDOWNS)
    return [name for name in names if name in _FOR_ALL or (has_teams if name in _OF_TEAMS else is_detailed)]
