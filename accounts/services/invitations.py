"""Invitations: sent by e-mail, accepted once, by the person who has that address."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models, transaction
from django.urls import reverse

from accounts.errors import AlreadyInvited, AlreadyMember, InvitationNotOpen, TooManyInvitations, WrongInvitee
from accounts.models import Invitation, Membership, Organization, User
from accounts.principal import Actor
from accounts.scopes import may_make
from accounts.services.members import add_member, check_role, guard_owners
from accounts.services.organizations import live_organization, tell
from accounts.signals import mail_wanted
from core.errors import InvalidRequest, NotFound
from core.letters import letter

LIFETIME = timedelta(days=7)
# E-mails that an organization may have sent in a day, and how soon the same one may be sent again.
MOST_A_DAY = 100
PAUSE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Inviter:
    """Who invites: ``user`` and their ``membership``, ``key_line_id`` for an API key, none of them for operators."""

    actor: Actor
    user: User | None = None
    membership: Membership | None = None
    key_line_id: UUID | None = None


@transaction.atomic
def invite(*, organization_id: UUID, email: str, role: str, by: Inviter, at: datetime) -> Invitation:
    """Let the owner of an address join, and write to them. An invitation that stands no longer is renewed.

    Raises AlreadyMember, AlreadyInvited, OwnersOnly, TooManyInvitations, InvalidRequest.
    """
    live = live_organization(organization_id)
    email = _checked_address(email)
    check_role(role)
    guard_owners(by.actor, by.membership, role)
    if _people_with(email).filter(memberships__organization=live).exists():
        raise AlreadyMember()
    known = live.invitations.pending().with_inviter().filter(email=email).first()
    if known is not None and stands(known, at):
        raise AlreadyInvited(invitation_id=str(known.id))
    _limit(live, at)
    if known is not None:
        known.revoked_at = at
        known.save(update_fields=["revoked_at"])
    invitation = Invitation(
        organization=live,
        email=email,
        role=role,
        invited_by=by.user,
        invited_by_line_id=by.key_line_id,
        created_at=at,
        sent_at=at,
        expires_at=at + LIFETIME,
    )
    _send(invitation, at)
    tell(live.id, "member.invited", {"email": email, "role": role}, by.actor, at)
    return invitation


@transaction.atomic
def resend_invitation(*, invitation_id: UUID, organization_id: UUID, by: Inviter, at: datetime) -> Invitation:
    """Write once more, with a new link that is valid from now; the link before stops working.

    Raises NotFound, OwnersOnly, TooManyInvitations.
    """
    live = live_organization(organization_id)
    invitation = _pending(live, invitation_id)
    guard_owners(by.actor, by.membership, invitation.role)
    if invitation.sent_at > at - PAUSE:
        raise TooManyInvitations("It was sent a moment ago. Try again in a minute.")
    _limit(live, at)
    invitation.times_sent += 1
    invitation.sent_at, invitation.expires_at = at, at + LIFETIME
    invitation.invited_by, invitation.invited_by_line_id = by.user, by.key_line_id
    _send(invitation, at)
    tell(live.id, "member.invited", {"email": invitation.email, "role": invitation.role}, by.actor, at)
    return invitation


@transaction.atomic
def revoke_invitation(*, invitation_id: UUID, organization_id: UUID, by: Inviter, at: datetime) -> None:
    """Take an invitation back: its link stops working. Raises NotFound, OwnersOnly."""
    live = live_organization(organization_id)
    invitation = _pending(live, invitation_id)
    guard_owners(by.actor, by.membership, invitation.role)
    invitation.revoked_at = at
    invitation.save(update_fields=["revoked_at"])
    tell(live.id, "member.invitation_revoked", {"email": invitation.email}, by.actor, at)


@transaction.atomic
def accept_invitation(*, token: str, user: User, at: datetime) -> Membership:
    """Join. The link came to the address, so the address counts as confirmed from now on.

    Raises InvitationNotOpen, WrongInvitee, AlreadyMember; then nothing changed.
    """
    found = invitation_of(token, at)
    live = live_organization(found.organization_id)
    invitation = live.invitations.with_inviter().select_for_update(of=("self",)).get(id=found.id)
    if not stands(invitation, at):
        raise InvitationNotOpen()
    if not is_for(invitation, user):
        raise WrongInvitee()
    membership = add_member(
        organization_id=live.id, user=user, role=invitation.role, actor=Actor(user.email, user.pk), at=at
    )
    invitation.accepted_at, invitation.accepted_by = at, user
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    EmailAddress.objects.filter(user=user, email__iexact=invitation.email).update(verified=True)
    return membership


def invitation_of(token: str, at: datetime) -> Invitation:
    """The open invitation that a link is for. Raises InvitationNotOpen."""
    invitations = Invitation.objects.with_inviter().select_related("organization")
    invitation = invitations.filter(digest=_digest(token)).first()
    if invitation is None or not stands(invitation, at) or invitation.organization.is_suspended:
        raise InvitationNotOpen()
    return invitation


def stands(invitation: Invitation, at: datetime) -> bool:
    """Whether an invitation read ``with_inviter`` can be accepted: in time, and by the word of somebody who may still
    invite to its role, or of a key that still works. What an operator has said stands by itself."""
    if not invitation.is_open(at):
        return False
    if invitation.invited_by_line_id is not None:
        return bool(invitation.inviter_key_works)  # type: ignore[attr-defined]
    if invitation.invited_by_id is None:
        return True
    role: str | None = invitation.inviter_role  # type: ignore[attr-defined]
    return role is not None and may_make(role, invitation.role)


def is_for(invitation: Invitation, user: User) -> bool:
    """Whether the address that was invited is one of the person's own, and nobody else has confirmed it as theirs."""
    confirmed = EmailAddress.objects.filter(email__iexact=invitation.email, verified=True).exclude(user=user)
    return _people_with(invitation.email).filter(pk=user.pk).exists() and not confirmed.exists()


def _people_with(email: str) -> models.QuerySet[User]:
    addresses = EmailAddress.objects.filter(email__iexact=email).values("user_id")
    return User.objects.filter(models.Q(email__iexact=email) | models.Q(pk__in=addresses))


def _checked_address(email: str) -> str:
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise InvalidRequest("This is not an e-mail address.", errors=_about("email")) from None
    return email


def _about(field: str) -> list[dict[str, str]]:
    return [{"field": field, "code": "invalid", "detail": "Enter an e-mail address."}]


def _limit(live: Organization, at: datetime) -> None:
    sent = live.invitations.filter(sent_at__gt=at - _DAY).aggregate(total=models.Sum("times_sent"))["total"] or 0
    if sent >= MOST_A_DAY:
        raise TooManyInvitations(f"An organization may send {MOST_A_DAY} invitations a day. Try again tomorrow.")


def _pending(live: Organization, invitation_id: UUID) -> Invitation:
    invitation = live.invitations.pending().select_for_update().filter(id=invitation_id).first()
    if invitation is None:
        raise NotFound()
    return invitation


def _send(invitation: Invitation, at: datetime) -> None:
    """Save it under a new token, and write the e-mail that has the token."""
    token = secrets.token_urlsafe(32)
    invitation.digest = _digest(token)
    invitation.save()
    link = f"{settings.PUBLIC_URL}{reverse('invitation', args=[token])}"
    facts = {"invitation": invitation, "link": link, "inviter": _name_of(invitation.invited_by)}
    subject, body = letter("accounts/mail/invitation.txt", facts)
    mail_wanted.send(
        Invitation,
        key=f"invitation:{invitation.id}:{invitation.times_sent}",
        recipient=invitation.email,
        subject=subject,
        body=body,
        organization_id=invitation.organization_id,
        at=at,
    )


def _name_of(user: User | None) -> str:
    return "" if user is None else user.name or user.email


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
