"""Operators who look at an organization's pages as one of its members."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from accounts.errors import CannotImpersonate
from accounts.models import Impersonation, User
from accounts.principal import Actor
from accounts.selection import place_in
from accounts.services.organizations import tell
from core.errors import InvalidRequest

LASTS = timedelta(hours=1)
_LONGEST_REASON = 300


@transaction.atomic
def start_impersonation(
    *, operator: User, person: User, organization_id: UUID, reason: str, at: datetime
) -> Impersonation:
    """Let ``operator`` look as ``person`` at one organization, a live one or its test twin, for an hour; one that is
    under way ends.

    Raises InvalidRequest without a reason, CannotImpersonate.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= _LONGEST_REASON:
        raise InvalidRequest(f"Say why, in at most {_LONGEST_REASON} characters.")
    User.objects.select_for_update(no_key=True).get(pk=operator.pk)  # one at a time
    place = place_in(person, organization_id)
    if place is None:
        raise CannotImpersonate(f"{person.email} is no member of the organization.")
    if not User.objects.impersonable().filter(pk=person.pk).exists():
        raise CannotImpersonate(f"{person.email} is an operator or may not sign in.")
    for running in Impersonation.objects.filter(operator=operator, ended_at=None):
        end_impersonation(impersonation=running, at=at)
    made = Impersonation.objects.create(
        operator=operator,
        person=person,
        organization=place[0],
        reason=reason,
        started_at=at,
        expires_at=at + LASTS,
    )
    _tell(made, "member.impersonation_started", at)
    return made


@transaction.atomic
def end_impersonation(*, impersonation: Impersonation, at: datetime) -> None:
    """Look as oneself again; one that has ended stays as it is."""
    ended_at = min(at, impersonation.expires_at)
    if Impersonation.objects.filter(pk=impersonation.pk, ended_at=None).update(ended_at=ended_at):
        _tell(impersonation, "member.impersonation_ended", at)


def _tell(impersonation: Impersonation, type: str, at: datetime) -> None:
    operator = impersonation.operator
    facts = {"email": impersonation.person.email, "reason": impersonation.reason}
    tell(impersonation.organization_id, type, facts, Actor(operator.email, operator.pk), at)
