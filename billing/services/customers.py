"""Writes of customers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.principal import Actor
from billing.announcing import announce, note_state_change, record_event
from billing.errors import InvalidValue, NotFound
from billing.locks import lock_customer
from billing.models import Customer
from billing.services.closing import close_customer
from billing.services.subscriptions import end_all

CHANGEABLE = frozenset({"email", "external_id", "name", "metadata", "billing_name", "billing_address", "tax_id"})


@transaction.atomic
def create_customer(
    *,
    organization_id: UUID,
    email: str,
    actor: Actor | str,
    at: datetime,
    external_id: str | None = None,
    name: str = "",
    metadata: Mapping[str, Any] | None = None,
    billing_name: str = "",
    billing_address: Mapping[str, Any] | None = None,
    tax_id: list[str | None] | None = None,
) -> Customer:
    """A customer of the organization. Usage that was received under ``external_id`` before is his at once.

    Raises InvalidValue when another customer has the e-mail address (in any case) or the external id.
    """
    customer = Customer(
        organization_id=organization_id,
        email=email.strip(),
        external_id=external_id or None,
        name=name,
        metadata=dict(metadata or {}),
        billing_name=billing_name,
        billing_address=billing_address,
        tax_id=tax_id,
        created_at=at,
    )
    customer.usage_since = _end_of_predecessor(customer)
    _save_once(customer, force_insert=True)
    record_event("customer.created", customer, at=at, **_facts(customer))
    announce("customer.created", organization_id=organization_id, actor=actor, at=at, customer_id=customer.id)
    note_state_change([(customer.id, organization_id)], at=at)
    return customer


@transaction.atomic
def update_customer(
    *, organization_id: UUID, customer_id: UUID, changes: Mapping[str, Any], actor: Actor | str, at: datetime
) -> Customer:
    """Change some of CHANGEABLE. Raises NotFound, InvalidValue."""
    customer = _locked(organization_id, customer_id)
    before = customer.external_id
    # What clients know as fields of the event, in the forms they take; the rest is read on the customer.
    told = {field: changes[field] for field in ("name", "email") if field in changes}
    for field in CHANGEABLE & changes.keys():
        setattr(customer, field, changes[field])
    customer.external_id = customer.external_id or None
    if customer.external_id != before:
        customer.usage_since = _end_of_predecessor(customer) or customer.usage_since
    customer.modified_at = at
    _save_once(customer)
    record_event("customer.updated", customer, at=at, **_facts(customer), updated_fields=told)
    announce("customer.updated", organization_id=organization_id, actor=actor, at=at, customer_id=customer.id)
    note_state_change([(customer.id, organization_id)], at=at)
    return customer


@transaction.atomic
def delete_customer(*, organization_id: UUID, customer_id: UUID, actor: Actor | str, at: datetime) -> Customer:
    """End all that the customer has, and free his e-mail address and external id. Raises NotFound."""
    close_customer(customer_id=customer_id, at=at)
    customer = _locked(organization_id, customer_id)
    end_all(customer, actor=actor, at=at)
    customer.deleted_at = customer.modified_at = at
    customer.save(update_fields=["deleted_at", "modified_at"])
    record_event("customer.deleted", customer, at=at, **_facts(customer))
    announce("customer.deleted", organization_id=organization_id, actor=actor, at=at, customer_id=customer.id)
    return customer


def _locked(organization_id: UUID, customer_id: UUID) -> Customer:
    customer = lock_customer(customer_id)
    if customer.organization_id != organization_id or customer.deleted_at is not None:
        raise NotFound("There is no such customer.")
    return customer


def _save_once(customer: Customer, **options: Any) -> None:
    try:
        with transaction.atomic():
            customer.save(**options)
    except IntegrityError as error:
        if "customer_email_once" in str(error):
            message = "A customer with this email address already exists."
            raise InvalidValue(["email"], message, value=customer.email) from None
        if "customer_external_id_once" in str(error):
            message = "A customer with this external ID already exists."
            raise InvalidValue(["external_id"], message, value=customer.external_id) from None
        raise


def _end_of_predecessor(customer: Customer) -> datetime | None:
    """When the last customer with this external id was deleted: usage until then was his."""
    if customer.external_id is None:
        return None
    earlier = Customer.objects.filter(
        organization_id=customer.organization_id, external_id=customer.external_id, deleted_at__isnull=False
    )
    return earlier.aggregate(last=Max("deleted_at"))["last"]


def _facts(customer: Customer) -> dict[str, Any]:
    return {
        "customer_id": customer.id,
        "customer_email": customer.email,
        "customer_name": customer.name or None,
        "customer_external_id": customer.external_id,
    }
