"""Customers as the wire shows them."""

from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from billing.models import Customer as Row


class Customer(msgspec.Struct, kw_only=True):
    """A customer of the merchant."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    metadata: dict[str, Any]
    external_id: str | None
    email: str
    email_verified: bool = False
    type: str = "individual"
    name: str | None
    billing_name: str | None
    billing_address: dict[str, Any] | None
    tax_id: list[str | None] | None
    locale: str | None = None
    organization_id: UUID
    default_payment_method_id: None = None
    deleted_at: datetime | None
    first_user_event_at: datetime | None = None
    avatar_url: str


class CustomerState(Customer, kw_only=True):
    """A customer with what he has: subscriptions, benefits, and how each meter stands."""

    active_subscriptions: list[Any]
    granted_benefits: list[Any]
    active_meters: list[Any]


def customer_fields(row: Row) -> dict[str, Any]:
    """What a customer and his state have in common."""
    return {
        "id": row.id,
        "created_at": row.created_at,
        "modified_at": row.modified_at,
        "metadata": row.metadata,
        "external_id": row.external_id,
        "email": row.email,
        "name": row.name or None,
        "billing_name": row.billing_name or row.name or None,
        "billing_address": row.billing_address,
        "tax_id": row.tax_id,
        "organization_id": row.organization_id,
        "deleted_at": row.deleted_at,
        "avatar_url": avatar_url(row.email),
    }


def customer_object(row: Row) -> Customer:
    """The customer as the wire shows him."""
    return Customer(**customer_fields(row))


def avatar_url(email: str) -> str:
    """Where a picture of the customer may be; nothing is asked of that address here."""
    digest = sha256(email.strip().lower().encode()).hexdigest()
    return f"https://www.gravatar.com/avatar/{digest}?d=404"
