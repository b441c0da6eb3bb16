"""Letting a customer in to his own affairs, and letting him in no more."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from billing.errors import NotFound
from billing.models import Customer, CustomerSession
from billing.sessions import digest_of

LASTS = timedelta(hours=1)
PREFIX = "fbx_cs_"


def begin_session(*, customer: Customer, at: datetime, return_url: str = "") -> tuple[CustomerSession, str]:
    """Let the customer in for LASTS; the session and its token, which exists nowhere else.

    ``return_url``: where he goes back to.
    """
    token = PREFIX + secrets.token_urlsafe(32)
    session = CustomerSession.objects.create(
        customer=customer, digest=digest_of(token), return_url=return_url, created_at=at, ends_at=at + LASTS
    )
    return session, token


def end_session(*, organization_id: UUID, session_id: UUID) -> None:
    """Let nobody in with its token any more. Raises NotFound, also for one that is over and forgotten."""
    own = CustomerSession.objects.filter(customer__organization_id=organization_id, pk=session_id)
    if not own.delete()[0]:
        raise NotFound()


def end_sessions_of(*, customer: Customer) -> None:
    """Let nobody in to the customer's affairs with any token handed out so far."""
    CustomerSession.objects.filter(customer=customer).delete()


def forget_sessions(*, at: datetime) -> int:
    """Delete those that are over; how many."""
    return CustomerSession.objects.filter(ends_at__lte=at).delete()[0]
