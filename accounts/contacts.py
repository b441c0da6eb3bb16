"""Whom to write to."""

from uuid import UUID

from accounts.models import Role, User


def billing_contacts(organization_id: UUID) -> list[User]:
    """Owners and billing members of a live organization who can sign in, oldest member first."""
    people = User.objects.filter(
        memberships__organization_id=organization_id,
        memberships__role__in=(Role.OWNER, Role.BILLING),
        is_active=True,
    )
    return list(people.order_by("memberships__created_at", "id"))


def managers_of(organization_id: UUID) -> list[User]:
    """Owners and admins of a live organization who can sign in, oldest member first."""
    people = User.objects.filter(
        memberships__organization_id=organization_id,
        memberships__role__in=(Role.OWNER, Role.ADMIN),
        is_active=True,
    )
    return list(people.order_by("memberships__created_at", "id"))
