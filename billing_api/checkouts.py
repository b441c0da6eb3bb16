"""Checkouts: for the merchant, and for whoever has a checkout's secret."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db.models import Q
from msgspec import UNSET, Meta, UnsetType

from billing.models import Checkout as Row
from billing.services import confirm_checkout, open_checkout, update_checkout
from billing_api.bodies import Address, Metadata, checked_address, checked_email, checked_metadata, sent
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound
from billing_api.objects.checkouts import (
    Checkout,
    CheckoutPublic,
    CheckoutPublicConfirmed,
    checkout_objects,
    confirmed_checkout,
    public_checkout,
)
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows

Text = Annotated[str, Meta(max_length=255)]
Link = Annotated[str, Meta(max_length=2_000)]
_SORTED_BY = {"created_at": "created_at", "expires_at": "expires_at", "status": "status"}


class CheckoutCreate(msgspec.Struct, kw_only=True):
    """What is offered to whom. Of several products the first is chosen."""

    products: Annotated[list[UUID], Meta(min_length=1, max_length=20)]
    customer_id: UUID | None = None
    external_customer_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    customer_email: str | None = None
    customer_name: Text | None = None
    customer_billing_name: Text | None = None
    customer_billing_address: Address | None = None
    customer_tax_id: Annotated[str, Meta(max_length=60)] | None = None
    customer_metadata: Metadata | None = None
    success_url: Link | None = None
    return_url: Link | None = None
    embed_origin: Annotated[str, Meta(max_length=300)] | None = None
    allow_trial: bool | None = None
    metadata: Metadata | None = None


class CheckoutUpdate(msgspec.Struct, kw_only=True):
    """What to change on an open checkout."""

    product_id: UUID | None = None
    customer_email: str | UnsetType | None = UNSET
    customer_name: Text | UnsetType | None = UNSET
    customer_billing_name: Text | UnsetType | None = UNSET
    customer_billing_address: Address | UnsetType | None = UNSET
    customer_tax_id: Annotated[str, Meta(max_length=60)] | UnsetType | None = UNSET
    customer_metadata: Metadata | UnsetType | None = UNSET
    success_url: Link | UnsetType | None = UNSET
    return_url: Link | UnsetType | None = UNSET
    embed_origin: Annotated[str, Meta(max_length=300)] | UnsetType | None = UNSET
    allow_trial: bool | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class CheckoutUpdatePublic(msgspec.Struct, kw_only=True):
    """What a buyer may change."""

    product_id: UUID | None = None
    customer_email: str | UnsetType | None = UNSET
    customer_name: Text | UnsetType | None = UNSET
    customer_billing_name: Text | UnsetType | None = UNSET
    customer_billing_address: Address | UnsetType | None = UNSET
    customer_tax_id: Annotated[str, Meta(max_length=60)] | UnsetType | None = UNSET
    allow_trial: bool | UnsetType | None = UNSET


class CheckoutConfirm(CheckoutUpdatePublic, kw_only=True):
    """The buyer agrees, and presents a means of payment where something is to be paid."""

    confirmation_token_id: Annotated[str, Meta(max_length=200)] | None = None


class CheckoutQuery(PageQuery, kw_only=True):
    """Which checkouts."""

    product_id: list[UUID] = []
    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    status: list[Literal["open", "expired", "confirmed", "succeeded", "failed"]] = []
    query: str | None = None


@endpoint("GET", "checkouts/", scope="checkouts:read", query=CheckoutQuery, answer=PageOf(Checkout))
def list_checkouts(call: Call, query: CheckoutQuery) -> Page:
    """List checkouts, the newest first."""
    rows = narrowed(Row.objects.of(call.organization_id), call.organization_id, query)
    if query.status:
        rows = rows.standing(query.status, call.at)
    for name in ("product_id", "customer_id", "external_customer_id"):
        if wanted := getattr(query, name):
            rows = rows.filter(**{f"{name}__in": wanted})
    if query.query:
        rows = rows.filter(Q(customer_email__icontains=query.query) | Q(customer_name__icontains=query.query))
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, lambda found: _shown(call, found))


def _secret_of(id: UUID) -> str | None:
    return Row.objects.filter(pk=id).values_list("client_secret", flat=True).first()


@endpoint(
    "POST",
    "checkouts/",
    scope="checkouts:write",
    status=201,
    body=CheckoutCreate,
    answer=Checkout,
    secret_of=_secret_of,
    example={"products": ["0191f6f0-0000-7000-8000-000000000000"], "external_customer_id": "user_42"},
)
def create_checkout(call: Call, body: CheckoutCreate) -> Checkout:
    """Open a checkout. Its `url` is a page to send the customer to."""
    fields = {name: getattr(body, name) for name in CheckoutUpdate.__struct_fields__ if hasattr(body, name)}
    row = open_checkout(
        organization_id=call.organization_id,
        product_ids=body.products,
        customer_id=body.customer_id,
        external_customer_id=body.external_customer_id,
        actor=call.actor,
        at=call.at,
        **_details({name: value for name, value in fields.items() if value is not None}),
    )
    return _shown(call, [row])[0]


@endpoint("GET", "checkouts/{id}", scope="checkouts:read", answer=Checkout)
def get_checkout(call: Call, id: UUID) -> Checkout:
    """Get a checkout."""
    return _shown(call, [_by_id(call, id)])[0]


@endpoint(
    "PATCH",
    "checkouts/{id}",
    scope="checkouts:write",
    body=CheckoutUpdate,
    answer=Checkout,
    example={"customer_email": "ada@example.com", "metadata": {"campaign": "spring"}},
)
def update_a_checkout(call: Call, id: UUID, body: CheckoutUpdate) -> Checkout:
    """Change an open checkout."""
    row = update_checkout(
        client_secret=_by_id(call, id).client_secret,
        product_id=body.product_id,
        changes=_changes(body),
        actor=call.actor,
        is_merchant=True,
        at=call.at,
    )
    return _shown(call, [row])[0]


@endpoint("GET", "checkouts/client/{client_secret}", scope=None, answer=CheckoutPublic)
def get_client_checkout(call: Call, client_secret: str) -> CheckoutPublic:
    """Get a checkout by its secret."""
    row = _by_secret(call, client_secret)
    return public_checkout(row, base_url=call.page_url, versioned=call.speaks_versions)


@endpoint(
    "PATCH",
    "checkouts/client/{client_secret}",
    scope=None,
    body=CheckoutUpdatePublic,
    answer=CheckoutPublic,
    example={"customer_email": "ada@example.com", "customer_name": "Ada"},
)
def update_client_checkout(call: Call, client_secret: str, body: CheckoutUpdatePublic) -> CheckoutPublic:
    """Change what a buyer may change of an open checkout."""
    _by_secret(call, client_secret)
    row = update_checkout(client_secret=client_secret, product_id=body.product_id, changes=_changes(body), at=call.at)
    return public_checkout(row, base_url=call.page_url, versioned=call.speaks_versions)


@endpoint(
    "POST",
    "checkouts/client/{client_secret}/confirm",
    scope=None,
    body=CheckoutConfirm,
    answer=CheckoutPublicConfirmed,
    example={"confirmation_token_id": "ctoken_test_success", "customer_email": "ada@example.com"},
)
def confirm_client_checkout(call: Call, client_secret: str, body: CheckoutConfirm) -> CheckoutPublicConfirmed:
    """Pay, and get what is bought: once, however often this is called.

    In the sandbox the token `ctoken_test_success` pays and `ctoken_test_decline` is declined.
    """
    _by_secret(call, client_secret)
    details = _changes(body)
    if body.product_id is not None:
        update_checkout(client_secret=client_secret, product_id=body.product_id, changes={}, at=call.at)
    row = confirm_checkout(
        client_secret=client_secret,
        confirmation_token=body.confirmation_token_id or "",
        details=details,
        at=call.at,
    )
    return confirmed_checkout(row, base_url=call.page_url, versioned=call.speaks_versions)


def _shown(call: Call, rows: list[Row]) -> list[Checkout]:
    return checkout_objects(rows, base_url=call.page_url, versioned=call.speaks_versions)


def _by_id(call: Call, id: UUID) -> Row:
    found: Row | None = Row.objects.of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return found


def _by_secret(call: Call, client_secret: str) -> Row:
    """The checkout; below /sandbox only one of a sandbox."""
    rows = Row.objects.filter(client_secret=client_secret)
    found: Row | None = (rows.filter(organization__mode="test") if call.is_sandbox else rows).first()
    if found is None:
        raise ResourceNotFound()
    return found


def _changes(body: msgspec.Struct) -> dict[str, Any]:
    names = set(body.__struct_fields__) - {"product_id", "confirmation_token_id"}
    return _details({name: value for name, value in sent(body, *names).items() if value is not None})


def _details(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are stored. Raises RequestInvalid."""
    if "customer_email" in fields:
        fields["customer_email"] = checked_email(fields["customer_email"], ["body", "customer_email"])
    if "customer_billing_address" in fields:
        place: list[str | int] = ["body", "customer_billing_address"]
        fields["customer_billing_address"] = checked_address(fields["customer_billing_address"], place)
    for name in ("metadata", "customer_metadata"):
        if name in fields:
            fields[name] = checked_metadata(fields[name], ["body", name])
    fields.pop("product_id", None)
    return fields
