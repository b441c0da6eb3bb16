"""What an organization's tier includes: asked by every app, answered by the one that knows tiers.

The keys and values are those of ``tiers.entitlements``; without anybody who answers, everything is included.
"""

from collections.abc import Callable
from uuid import UUID

from django.core.exceptions import PermissionDenied

from accounts.pages import PageRequest
from core.errors import DomainError

EXPORTS, API_ACCESS, TEAMS = "exports", "api_access", "teams"
DASHBOARDS, SCHEDULED_REPORTS = "dashboards", "scheduled_reports"
TOKEN_PREVIEW, COST_TRACKING = "token_preview", "cost_tracking"

Guard = Callable[[UUID, str, str | None], None]
_guards: list[Guard] = []


class NotInTier(DomainError):
    """The tier does not include it; ``included_in`` names tiers on offer that do."""

    code = "not_in_tier"
    status = 403
    title = "This is not included in the organization's tier."


def guards_entitlements(guard: Guard) -> Guard:
    """Register the decorated function: it raises NotInTier where something is not included."""
    _guards.append(guard)
    return guard


def require(organization_id: UUID, key: str, value: str | None = None) -> None:
    """Pass if the organization's tier includes ``key``, or ``value`` of it. Raises NotInTier."""
    for guard in _guards:
        guard(organization_id, key, value)


def page_requires(request: PageRequest, key: str, value: str | None = None) -> None:
    """The same for a page: whoever may not see it is told why. Raises PermissionDenied."""
    try:
        require(request.organization.id, key, value)
    except NotInTier as refusal:
        raise PermissionDenied(refusal.detail) from None
