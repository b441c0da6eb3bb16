"""Customers, by our id or by the merchant's."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billing.models import Customer as Row
from billing.services.customers import create_customer, delete_customer, update_customer
from billing_api.bodies import Address, Metadata, checked_address, checked_email, checked_metadata, sent
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound, invalid
from billing_api.objects.customers import Customer, CustomerState, customer_object
from billing_api.objects.states import state_object
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows

Email = Annotated[str, Meta(min_length=3, max_length=320)]
Name = Annotated[str, Meta(max_length=255)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255)]
TaxId = list[str | None]
_EXAMPLE = {"email": "ada@example.com", "external_id": "user_42", "name": "Ada", "metadata": {"plan": "beta"}}
_SORTED_BY = {"created_at": "created_at", "email": "email", "name": "name"}


class CustomerCreate(msgspec.Struct, kw_only=True):
    """A new customer. Both his e-mail address and his external id are his alone."""

    email: Email
    external_id: ExternalId | None = None
    name: Name | None = None
    metadata: Metadata = {}
    billing_address: Address | None = None
    tax_id: TaxId | None = None
    organization_id: UUID | None = None


class CustomerUpdate(msgspec.Struct, kw_only=True):
    """What to change; what is left out stays."""

    email: Email | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    billing_address: Address | UnsetType | None = UNSET
    tax_id: TaxId | UnsetType | None = UNSET


class CustomerUpdateExternal(msgspec.Struct, kw_only=True):
    """The same for a customer named by his external id, which stays."""

    email: Email | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    billing_address: Address | UnsetType | None = UNSET
    tax_id: TaxId | UnsetType | None = UNSET


class CustomerQuery(PageQuery, kw_only=True):
    """Which customers: with exactly this e-mail address, or with ``query`` somewhere in name, address or id."""

    email: str | None = None
    query: str | None = None


def customer_by_id(call: Call, id: UUID) -> Row:
    """The merchant's customer. Raises ResourceNotFound."""
    found: Row | None = Row.objects.of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return found


def customer_by_external_id(call: Call, external_id: str) -> Row:
    """The same by the merchant's own id."""
    found: Row | None = Row.objects.of(call.organization_id).filter(external_id=external_id).first()
    if found is None:
        raise ResourceNotFound()
    return found


def own_organization(call: Call, organization_id: UUID | None) -> None:
    """Raise RequestInvalid when a body names another organization than the token's."""
    if organization_id not in (None, call.organization_id):
        raise invalid(["body", "organization_id"], "Organization not found.", "organization_id", str(organization_id))


@endpoint("GET", "customers/", scope="customers:read", query=CustomerQuery, answer=PageOf(Customer))
def list_customers(call: Call, query: CustomerQuery) -> Page:
    """List customers, the newest first."""
    rows = narrowed(Row.objects.of(call.organization_id), call.organization_id, query)
    if query.email is not None:
        rows = rows.filter(email__iexact=query.email.strip())
    if query.query:
        rows = rows.called(query.query)
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, lambda found: list(map(customer_object, found)))


@endpoint(
    "POST",
    "customers/",
    scope="customers:write",
    status=201,
    body=CustomerCreate,
    answer=Customer,
    example=_EXAMPLE,
)
def create_a_customer(call: Call, body: CustomerCreate) -> Customer:
    """Create a customer. Usage that was reported under his external id before is his at once."""
    own_organization(call, body.organization_id)
    row = create_customer(
        organization_id=call.organization_id,
        email=checked_email(body.email, ["body", "email"]),
        external_id=body.external_id,
        name=body.name or "",
        metadata=checked_metadata(body.metadata),
        billing_address=checked_address(body.billing_address, ["body", "billing_address"]),
        tax_id=body.tax_id,
        actor=call.actor,
        at=call.at,
    )
    return customer_object(row)


@endpoint("GET", "customers/{id}", scope="customers:read", answer=Customer)
def get_customer(call: Call, id: UUID) -> Customer:
    """Get a customer."""
    return customer_object(customer_by_id(call, id))


@endpoint("GET", "customers/external/{external_id}", scope="customers:read", answer=Customer)
def get_external_customer(call: Call, external_id: str) -> Customer:
    """Get a customer by the id that the merchant gave him."""
    return customer_object(customer_by_external_id(call, external_id))


@endpoint(
    "PATCH",
    "customers/{id}",
    scope="customers:write",
    body=CustomerUpdate,
    answer=Customer,
    example={"name": "Ada Lovelace", "billing_address": {"country": "GB", "city": "London"}},
)
def update_a_customer(call: Call, id: UUID, body: CustomerUpdate) -> Customer:
    """Change a customer."""
    return _updated(call, id, body)


@endpoint(
    "PATCH",
    "customers/external/{external_id}",
    scope="customers:write",
    body=CustomerUpdateExternal,
    answer=Customer,
    example={"name": "Ada Lovelace"},
)
def update_external_customer(call: Call, external_id: str, body: CustomerUpdateExternal) -> Customer:
    """Change a customer named by his external id."""
    return _updated(call, customer_by_external_id(call, external_id).id, body)


@endpoint("DELETE", "customers/{id}", scope="customers:write", status=204)
def delete_a_customer(call: Call, id: UUID) -> None:
    """Delete a customer: all that he has ends, and both of his ids are free again."""
    delete_customer(
        organization_id=call.organization_id, customer_id=customer_by_id(call, id).id, actor=call.actor, at=call.at
    )


@endpoint("DELETE", "customers/external/{external_id}", scope="customers:write", status=204)
def delete_external_customer(call: Call, external_id: str) -> None:
    """Delete a customer named by his external id."""
    customer = customer_by_external_id(call, external_id)
    delete_customer(organization_id=call.organization_id, customer_id=customer.id, actor=call.actor, at=call.at)


@endpoint("GET", "customers/{id}/state", scope="customers:read", answer=CustomerState)
def get_customer_state(call: Call, id: UUID) -> CustomerState:
    """Get a customer with his subscriptions, benefits and meters, true at this moment."""
    return state_object(customer_by_id(call, id), at=call.at)


@endpoint("GET", "customers/external/{external_id}/state", scope="customers:read", answer=CustomerState)
def get_external_customer_state(call: Call, external_id: str) -> CustomerState | Customer:
    """Get the state of a customer named by his external id."""
    try:
        return state_object(customer_by_external_id(call, external_id), at=call.at)
    except ResourceNotFound:
        # An id may itself end in "/state", and clients send its slash as it is.
        return customer_object(customer_by_external_id(call, f"{external_id}/state"))


def _updated(call: Call, id: UUID, body: CustomerUpdate | CustomerUpdateExternal) -> Customer:
    changes = sent(body, *(set(body.__struct_fields__) - {"billing_address"}))
    if changes.get("email") is None:
        changes.pop("email", None)
    else:
        changes["email"] = checked_email(changes["email"], ["body", "email"])
    if "name" in changes:
        changes["name"] = changes["name"] or ""
    if "metadata" in changes:
        changes["metadata"] = checked_metadata(changes["metadata"] or {})
    if not isinstance(body.billing_address, UnsetType):
        changes["billing_address"] = checked_address(body.billing_address, ["body", "billing_address"])
    row = update_customer(
        organization_id=call.organization_id, customer_id=id, changes=changes, actor=call.actor, at=call.at
    )
    return customer_object(row)
