"""Whom to write to."""

from uuid import UUID

from accounts.models import Role, User


def billing_contacts(organization_id: UUID) -> list[User]:
    """Owners and billing members of a live organization who can sign in, oldest member first."""
    return _members(organization_id, Role.OWNER, Role.BILLING)


def managers_of(organization_id: UUID) -> list[User]:
    """Owners and admins of a live organization who can sign in, oldest member first."""
    return _members(organization_id, Role.OWNER, Role.ADMIN)


def _members(organization_id: UUID, *roles: Role) -> list[User]:
    people = User.objects.filter(
        memberships__organization_id=organization_id, memberships__role__in=roles, is_active=True
    )
    return list(people.order_by("memberships__created_at", "id"))
