"""What the frame around every page shows. Nothing is read before a template asks for it."""

from functools import cached_property
from typing import Any

from django.http import HttpRequest

from accounts.impersonation import impersonation_of
from accounts.models import Impersonation, Membership, Organization
from accounts.pages import place_of
from accounts.scopes import BILLING, MANAGE, Scope, scopes_of_role

THEMES = ("light", "dark")


class Frame:
    """The theme, the organization looked at, and where else the person may look."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def theme(self) -> str:
        """``light``, ``dark``, or empty for the system's."""
        chosen = self._request.COOKIES.get("theme", "")
        return chosen if chosen in THEMES else ""

    @property
    def impersonation(self) -> Impersonation | None:
        """What an operator looks under, if it is one who looks."""
        return impersonation_of(self._request)

    @cached_property
    def organization(self) -> Organization | None:
        """Whose books the pages show; None for people who belong nowhere."""
        place = place_of(self._request)
        return place[0] if place else None

    @cached_property
    def live(self) -> Organization | None:
        """The live organization, also while its test twin is looked at."""
        if self.organization is None:
            return None
        return self.organization.live_organization or self.organization

    @cached_property
    def twin(self) -> Organization | None:
        """The test twin of the organization looked at."""
        if self.organization is None or self.organization.is_test:
            return self.organization
        return Organization.objects.filter(live_organization=self.organization).first()

    @cached_property
    def may_manage(self) -> bool:
        """Whether the person's role lets them manage keys and members."""
        return self._may(MANAGE)

    @cached_property
    def may_call(self) -> bool:
        """Whether it lets them call models."""
        return self._may(Scope.GATEWAY)

    @cached_property
    def may_pay(self) -> bool:
        """Whether it lets them buy credit."""
        return self._may(BILLING)

    @cached_property
    def memberships(self) -> list[Membership]:
        """Everything the person may switch to, oldest first."""
        user = self._request.user
        if not user.is_authenticated:
            return []
        if self.impersonation is not None:
            place = place_of(self._request)
            return [place[1]] if place else []
        return list(user.memberships.select_related("organization").order_by("created_at", "id"))

    def _may(self, scope: str) -> bool:
        place = place_of(self._request)
        return place is not None and scope in scopes_of_role(place[1].role)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor."""
    return {"frame": Frame(request)}
