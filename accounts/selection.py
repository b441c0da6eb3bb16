"""Which organization a logged-in person is acting for; pages and the API share the choice through the
session.
"""

from typing import cast
from uuid import UUID

from django.http import HttpRequest

from accounts.impersonation import impersonation_of
from accounts.models import Membership, Organization, User
from core.errors import NotFound

SESSION_KEY = "organization_id"


def select_organization(request: HttpRequest, *, organization_id: UUID) -> Organization:
    """Act for this organization from now on: a live one or its test twin.

    Raises NotFound for strangers' ones.
    """
    place = place_in(_person(request), organization_id)
    if place is None:
        raise NotFound()
    request.session[SESSION_KEY] = str(organization_id)
    return place[0]


def selected_place(request: HttpRequest) -> tuple[Organization, Membership] | None:
    """The organization acted for and the membership that permits it: the chosen one, else the person's
    oldest.

    A choice that no longer holds (removed member, deleted organization) falls back to the oldest. None
    without any. An operator who looks as the person sees the organization that they gave a reason for, and no other.
    """
    person = _person(request)
    if (running := impersonation_of(request)) is not None:
        return place_in(person, running.organization_id)
    chosen = request.session.get(SESSION_KEY)
    if chosen and (place := place_in(person, UUID(chosen))):
        return place
    membership = person.memberships.select_related("organization", "team").order_by("created_at", "id").first()
    return None if membership is None else (membership.organization, membership)


def place_in(person: User, organization_id: UUID) -> tuple[Organization, Membership] | None:
    """``person``'s membership for ``organization_id``; that of the live organization also opens its test
    twin.
    """
    organization = Organization.objects.select_related("live_organization").filter(id=organization_id).first()
    if organization is None:
        return None
    live_id = organization.live_organization_id or organization.id
    membership = person.memberships.select_related("team").filter(organization_id=live_id).first()
    return None if membership is None else (organization, membership)


def _person(request: HttpRequest) -> User:
    """The logged-in person; callers have made sure that there is one."""
    return cast(User, request.user)
