"""Tickets: how a member's browser calls the gateway, which knows no sessions.

A page asks for one just before it calls, and sends it as the bearer token. It names the organization looked at and the
membership, is signed, and holds for a minute; what the member may do is read from the database when it is shown. So the
gateway needs neither cookies nor a defence against forged requests, and a browser never holds a key.
"""

from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.signing import BadSignature, SignatureExpired, TimestampSigner
from django.db import connection

from accounts.authentication import principal_of_member
from accounts.errors import InvalidApiKey, OrganizationSuspended
from accounts.models import Membership, Organization
from accounts.principal import Principal

PREFIX = "fbx_page_"
LIFETIME = 60  # seconds
_SALT = "farebox.page-ticket"


def issue_ticket(*, organization: Organization, membership: Membership) -> str:
    """A ticket for calls of ``membership`` on the books of ``organization``, its own or its test twin."""
    return PREFIX + _signer().sign(f"{organization.id}.{membership.id}")


def is_ticket(token: str) -> bool:
    """Whether a bearer token is a ticket, not a key."""
    return token.startswith(PREFIX)


def principal_of_ticket(token: str) -> Principal:
    """Whom a ticket stands for, with the rights of their role now. Raises InvalidApiKey, OrganizationSuspended."""
    organization_id, membership_id = _read(token)
    membership = Membership.objects.select_related("user").filter(id=membership_id, user__is_active=True).first()
    organization = Organization.objects.filter(id=organization_id).first()
    if membership is None or organization is None:
        raise InvalidApiKey("You no longer belong to this organization.")
    if membership.organization_id not in (organization.id, organization.live_organization_id):
        raise InvalidApiKey()
    if organization.is_suspended:
        raise OrganizationSuspended()
    return principal_of_member(organization, membership)


async def principal_of_ticket_async(token: str) -> Principal:
    """The same for the event loop."""
    return await sync_to_async(_in_own_connection, thread_sensitive=False)(token)


def _in_own_connection(token: str) -> Principal:
    try:
        return principal_of_ticket(token)
    finally:
        connection.close()


def _read(token: str) -> tuple[UUID, UUID]:
    try:
        organization_id, membership_id = _signer().unsign(token.removeprefix(PREFIX), max_age=LIFETIME).split(".")
        return UUID(organization_id), UUID(membership_id)
    except SignatureExpired:
        raise InvalidApiKey("This page's ticket has expired; try again.") from None
    except (BadSignature, ValueError):
        raise InvalidApiKey() from None


def _signer() -> TimestampSigner:
    return TimestampSigner(salt=_SALT)
