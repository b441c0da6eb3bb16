"""Who belongs to an organization, and as what."""

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.directory import forget_keys
from accounts.errors import AlreadyMember, LastOwner, OwnersOnly
from accounts.models import Membership, Organization, Role, User
from accounts.principal import Actor
from accounts.services.organizations import live_organization, tell
from accounts.services.teams import note_placement
from core.errors import InvalidRequest, NotFound


@transaction.atomic
def add_member(
    *, organization_id: UUID, user: User, role: str, actor: Actor, at: datetime, by: Membership | None = None
) -> Membership:
    """Let ``user`` in. ``by`` is the member who does it, None an operator.

    Raises AlreadyMember, OwnersOnly.
    """
    live = live_organization(organization_id)
    check_role(role)
    guard_owners(actor, by, role)
    if live.memberships.filter(user=user).exists():
        raise AlreadyMember()
    membership = live.memberships.create(user=user, role=role, created_at=at)
    tell(live.id, "member.added", {"email": user.email, "role": role}, actor, at)
    return membership


@transaction.atomic
def change_role(
    *,
    membership_id: UUID,
    organization_id: UUID,
    role: str,
    actor: Actor,
    at: datetime,
    by: Membership | None = None,
) -> Membership:
    """Give a member another role. Raises NotFound, OwnersOnly, LastOwner."""
    live = live_organization(organization_id)
    membership = _membership(live, membership_id)
    check_role(role)
    guard_owners(actor, by, membership.role, role)
    if role != Role.OWNER:
        _keep_an_owner(live, without=membership)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    data = {"email": membership.user.email, "from": before, "to": role}
    tell(live.id, "member.role_changed", data, actor, at)
    return membership


@transaction.atomic
def remove_member(
    *, membership_id: UUID, organization_id: UUID, actor: Actor, at: datetime, by: Membership | None = None
) -> None:
    """Take a member out and revoke the keys bound to them; the keys stay listed.

    Raises NotFound, OwnersOnly, LastOwner.
    """
    live = live_organization(organization_id)
    membership = _membership(live, membership_id)
    guard_owners(actor, by, membership.role)
    _keep_an_owner(live, without=membership)
    membership.api_keys.filter(Q(revoked_at__isnull=True) | Q(revoked_at__gt=at)).update(revoked_at=at)
    membership.api_keys.update(member=None)
    data = {"email": membership.user.email, "role": membership.role}
    note_placement(organization_id=live.id, subject_id=membership.id, team=None, at=at)
    membership.delete()
    tell(live.id, "member.removed", data, actor, at)
    transaction.on_commit(forget_keys)


@transaction.atomic
def leave(*, organization_id: UUID, user: User, actor: Actor, at: datetime) -> None:
    """Go of one's own will. Raises NotFound, LastOwner."""
    live = live_organization(organization_id)
    membership = live.memberships.filter(user=user).first()
    if membership is None:
        raise NotFound()
    remove_member(membership_id=membership.id, organization_id=live.id, actor=actor, at=at, by=membership)


@transaction.atomic
def transfer_ownership(
    *, organization_id: UUID, from_user: User, membership_id: UUID, actor: Actor, at: datetime
) -> Membership:
    """Make another member owner in one's own place, and oneself an admin; the new owner. Both or neither.

    Raises NotFound, OwnersOnly, InvalidRequest for oneself.
    """
    live = live_organization(organization_id)
    mine = live.memberships.filter(user=from_user).first()
    if mine is None:
        raise NotFound()
    if mine.id == membership_id:
        raise InvalidRequest("You are the owner already.")
    change = partial(change_role, organization_id=live.id, by=mine, actor=actor, at=at)
    heir = change(membership_id=membership_id, role=Role.OWNER)
    change(membership_id=mine.id, role=Role.ADMIN)
    return heir


def _membership(live: Organization, membership_id: UUID) -> Membership:
    membership = live.memberships.select_related("user").filter(id=membership_id).first()
    if membership is None:
        raise NotFound()
    return membership


def check_role(role: str) -> None:
    """Raises InvalidRequest for a role that does not exist."""
    if role not in Role.values:
        raise InvalidRequest(f"A role is one of {', '.join(Role.values)}.")


def guard_owners(actor: Actor, by: Membership | None, *roles: str) -> None:
    """Making, changing or removing an owner takes an owner, or an operator: never a key, whatever its scopes."""
    is_free_to = actor.scopes is None if by is None else by.role == Role.OWNER
    if Role.OWNER in roles and not is_free_to:
        raise OwnersOnly()


def _keep_an_owner(live: Organization, *, without: Membership) -> None:
    """Refuse to lose the last owner. The organization's row is locked, so two owners cannot leave at once."""
    others = live.memberships.filter(role=Role.OWNER).exclude(id=without.id)
    if without.role == Role.OWNER and not others.exists():
        raise LastOwner()
