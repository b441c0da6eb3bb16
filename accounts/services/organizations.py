"""Organizations and their test twins."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import Q

from accounts.directory import forget_keys
from accounts.models import Mode, Organization, Role, User
from accounts.principal import Actor
from accounts.signals import account_changed, organization_created, suspension_changing
from core.errors import InvalidRequest, NotFound


@transaction.atomic
def create_organization(
    *,
    name: str,
    owner: User | None,
    at: datetime,
    tier_slug: str | None = None,
    is_signup: bool = False,
    actor: Actor | None = None,
) -> Organization:
    """A live organization and its test twin (``organization.test_twin``), each with an empty wallet and a
    tier.

    Wallets, tier (``tier_slug``, else the default), the welcome credit of a sign-up and the provider's
    account are made by the receivers of ``organization_created`` in this transaction. ``owner`` None leaves
    it without members.
    """
    live = Organization.objects.create(name=checked_name(name), created_at=at)
    twin = Organization.objects.create(name=live.name, mode=Mode.TEST, live_organization=live, created_at=at)
    if owner is not None:
        live.memberships.create(user=owner, role=Role.OWNER, created_at=at)
    organization_created.send(
        Organization, organization=live, test_twin=twin, tier_slug=tier_slug, is_signup=is_signup, at=at
    )
    if actor is None:
        actor = Actor("system") if owner is None else Actor(owner.email, owner.pk)
    tell(live.id, "organization.created", {"name": live.name}, actor, at)
    return live


@transaction.atomic
def update_organization(
    *, organization_id: UUID, name: str, time_zone: str, actor: Actor, at: datetime
) -> Organization:
    """Rename an organization (and its twin) or move its day boundaries. Raises NotFound, InvalidRequest."""
    if time_zone not in available_timezones():
        raise InvalidRequest(f"There is no time zone called {time_zone[:64]!r}.")
    live = live_organization(organization_id)
    both = Organization.objects.filter(Q(id=live.id) | Q(live_organization=live))
    both.update(name=checked_name(name), time_zone=time_zone)
    tell(live.id, "organization.updated", {"name": name.strip(), "time_zone": time_zone}, actor, at)
    return both.get(id=organization_id)


def lock_organization(organization_id: UUID) -> Organization:
    """Let one decision about an organization be made at a time, until the transaction ends.

    Not a full lock of the row: whatever only refers to the organization (usage, entries) goes on. It comes before the
    locks of other rows and of the wallet. Raises NotFound.
    """
    organization = Organization.objects.select_for_update(no_key=True).filter(pk=organization_id).first()
    if organization is None:
        raise NotFound()
    return organization


@transaction.atomic
def set_suspended(*, organization_id: UUID, suspended: bool, reason: str, actor: Actor, at: datetime) -> None:
    """Stop an organization and its twin, or let them go on: their keys are refused within a second."""
    live = live_organization(organization_id)
    both = Organization.objects.filter(Q(id=live.id) | Q(live_organization=live)).order_by("id")
    suspension_changing.send(Organization, organization_ids=list(both.values_list("id", flat=True)), at=at)
    both.order_by().update(is_suspended=suspended)
    news = "organization.suspended" if suspended else "organization.resumed"
    tell(live.id, news, {"reason": reason}, actor, at)
    transaction.on_commit(forget_keys)


def live_organization(organization_id: UUID) -> Organization:
    """The live organization of ``organization_id`` (its own or its twin's), locked until the transaction
    ends.
    """
    found = Organization.objects.filter(Q(id=organization_id) | Q(test_twin=organization_id), mode=Mode.LIVE)
    live = found.select_for_update(of=("self",)).first()
    if live is None:
        raise NotFound()
    return live


def checked_name(name: str) -> str:
    """``name`` without outer blanks. Raises InvalidRequest when nothing is left or it is too long."""
    name = name.strip()
    longest = Organization._meta.get_field("name").max_length or 0
    if not name or len(name) > longest:
        raise InvalidRequest(f"A name has 1 to {longest} characters.")
    return name


def tell(organization_id: UUID, type: str, data: dict[str, Any], actor: Actor, at: datetime) -> None:
    """Announce an audit-worthy fact to the apps on the right."""
    account_changed.send(None, type=type, organization_id=organization_id, data=data, actor=actor, at=at)
