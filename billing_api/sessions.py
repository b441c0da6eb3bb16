"""Letting a customer see his own affairs on a page."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from django.urls import reverse
from msgspec import Meta

from billing.models import Customer as Row
from billing.services import begin_session, end_session, end_sessions_of
from billing_api.calls import Call
from billing_api.customers import customer_by_id
from billing_api.endpoints import endpoint
from billing_api.errors import invalid
from billing_api.objects.customers import Customer, customer_object


class CustomerSessionCreate(msgspec.Struct, kw_only=True):
    """Whom to let in, by either id, and where he goes back to."""

    customer_id: UUID | None = None
    external_customer_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    return_url: Annotated[str, Meta(max_length=500)] | None = None


class CustomerSession(msgspec.Struct, kw_only=True):
    """An address that is good for an hour, or until it is ended, for the customer alone."""

    id: UUID
    created_at: datetime
    modified_at: None = None
    token: str
    expires_at: datetime
    return_url: str | None
    customer_portal_url: str
    customer_id: UUID
    customer: Customer


@endpoint(
    "POST",
    "customer-sessions/",
    scope="customer_sessions:write",
    status=201,
    body=CustomerSessionCreate,
    answer=CustomerSession,
    example={"external_customer_id": "user_42", "return_url": "https://shop.example/account"},
    keeping="never",  # the answer holds a secret
)
def create_customer_session(call: Call, body: CustomerSessionCreate) -> CustomerSession:
    """Make an address on which a customer sees his subscriptions, use, credit and orders. Hand it to him alone."""
    customer = _named(call, body)
    if body.return_url is not None:
        parts = urlsplit(body.return_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise invalid(["body", "return_url"], "This must be an http or https address.", "url_scheme")
    session, token = begin_session(customer=customer, at=call.at, return_url=body.return_url or "")
    return CustomerSession(
        id=session.id,
        token=token,
        created_at=session.created_at,
        expires_at=session.ends_at,
        return_url=session.return_url or None,
        customer_portal_url=call.page_url + reverse("billing_portal", args=[token]),
        customer_id=customer.id,
        customer=customer_object(customer),
    )


@endpoint("DELETE", "customer-sessions/{id}", scope="customer_sessions:write", status=204)
def end_customer_session(call: Call, id: UUID) -> None:
    """End a session: its address opens nothing any more, at once."""
    end_session(organization_id=call.organization_id, session_id=id)


@endpoint("DELETE", "customers/{id}/sessions", scope="customer_sessions:write", status=204)
def end_sessions_of_customer(call: Call, id: UUID) -> None:
    """End all sessions of a customer, by whatever addresses he was let in."""
    end_sessions_of(customer=customer_by_id(call, id))


def _named(call: Call, body: CustomerSessionCreate) -> Row:
    if (body.customer_id is None) == (body.external_customer_id is None):
        raise invalid(["body"], "Name exactly one of customer_id and external_customer_id.", "missing")
    name = "customer_id" if body.customer_id is not None else "external_customer_id"
    wanted = {"pk": body.customer_id} if body.customer_id is not None else {"external_id": body.external_customer_id}
    found = Row.objects.of(call.organization_id).filter(**wanted).first()
    if found is None:
        raise invalid(["body", name], "Customer does not exist.", name, str(getattr(body, name)))
    return found
