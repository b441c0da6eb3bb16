"""Checkouts as the wire shows them: to the merchant, and to whoever has the secret."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import prefetch_related_objects
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify

from accounts.models import Organization
from billing.models import Checkout as Row
from billing.sessions import receipt_of
from billing_api.objects.catalogue import CURRENCY, Benefit, Product, product_objects


class PublicBenefit(msgspec.Struct, kw_only=True):
    """A benefit as buyers see it."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    type: str
    description: str
    selectable: bool
    deletable: bool
    is_deleted: bool
    organization_id: UUID
    properties: Any


class CheckoutProduct(msgspec.Struct, kw_only=True):
    """A product as buyers see it: without what the merchant notes for himself."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    trial_interval: str | None
    trial_interval_count: int | None
    name: str
    description: str | None
    visibility: str = "public"
    recurring_interval: str | None
    recurring_interval_count: int | None
    meter_interval: str | None = None
    meter_interval_count: int | None = None
    is_recurring: bool
    is_archived: bool
    organization_id: UUID
    prices: list[Any]
    benefits: list[PublicBenefit]
    medias: list[Any] = []


class AddressFields(msgspec.Struct, kw_only=True):
    """What is asked of an address."""

    country: str = "optional"
    state: str = "optional"
    city: str = "optional"
    postal_code: str = "optional"
    line1: str = "optional"
    line2: str = "optional"


class CheckoutBase(msgspec.Struct, kw_only=True):
    """What everybody may see of a checkout who has its secret. Cents."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    custom_field_data: dict[str, Any] = {}
    payment_processor: str = "stripe"  # the one word that all clients know; it says nothing of who collects
    status: str
    client_secret: str
    url: str
    expires_at: datetime
    success_url: str
    return_url: str | None
    embed_origin: str | None
    amount: int
    seats: int | None = None
    price_per_seat: int | None = None
    min_seats: int | None = None
    max_seats: int | None = None
    units: int | None = None
    min_units: int | None = None
    max_units: int | None = None
    discount_amount: int = 0
    net_amount: int
    tax_amount: int | None = 0
    tax_behavior: str | None = None
    total_amount: int
    currency: str = CURRENCY
    allow_trial: bool | None
    active_trial_interval: str | None
    active_trial_interval_count: int | None
    trial_end: datetime | None = None
    organization_id: UUID
    product_id: UUID | None
    product_price_id: UUID | None
    discount_id: UUID | None = None
    allow_discount_codes: bool = False
    require_billing_address: bool = False
    is_discount_applicable: bool = False
    is_free_product_price: bool
    is_payment_required: bool
    is_payment_setup_required: bool = False
    is_payment_form_required: bool
    customer_id: UUID | None
    is_business_customer: bool = False
    customer_name: str | None
    customer_email: str | None
    customer_ip_address: str | None
    customer_billing_name: str | None
    customer_billing_address: dict[str, Any] | None
    customer_tax_id: str | None
    locale: str | None = None
    payment_method_type: str | None = None
    payment_processor_metadata: dict[str, str] = {}
    billing_address_fields: AddressFields = msgspec.field(default_factory=AddressFields)
    products: list[CheckoutProduct]
    product: CheckoutProduct | None
    product_price: Any
    prices: dict[str, list[Any]] | None
    discount: None = None
    attached_custom_fields: list[Any] | None = None


class Checkout(CheckoutBase, kw_only=True):
    """A checkout as the merchant sees it."""

    trial_interval: str | None = None
    trial_interval_count: int | None = None
    metadata: dict[str, Any]
    external_customer_id: str | None
    customer_external_id: str | None
    subscription_id: UUID | None
    customer_metadata: dict[str, Any]


class CheckoutOrganization(msgspec.Struct, kw_only=True):
    """Who sells."""

    id: UUID
    created_at: datetime
    modified_at: None = None
    name: str
    slug: str
    avatar_url: str | None = None
    proration_behavior: str = "prorate"
    allow_customer_updates: bool = True


class CheckoutPublic(CheckoutBase, kw_only=True):
    """A checkout as buyers see it."""

    organization: CheckoutOrganization


class CheckoutPublicConfirmed(CheckoutPublic, kw_only=True):
    """A checkout that was just confirmed; whether it succeeded is said a moment later."""

    customer_session_token: str


def checkout_objects(rows: Sequence[Row], *, base_url: str, versioned: bool) -> list[Checkout]:
    """The checkouts for their merchant."""
    prefetch_related_objects(list(rows), "product", "offers__product", "subscription")
    shown = _products(rows, versioned)
    return [
        Checkout(
            **_base(row, shown, base_url),
            metadata=row.metadata,
            external_customer_id=row.external_customer_id,
            customer_external_id=row.external_customer_id,
            subscription_id=begun.id if (begun := getattr(row, "subscription", None)) else None,
            customer_metadata=row.customer_metadata,
        )
        for row in rows
    ]


def public_checkout(row: Row, *, base_url: str, versioned: bool) -> CheckoutPublic:
    """The checkout for whoever has its secret."""
    return CheckoutPublic(**_public(row, base_url, versioned))


def confirmed_checkout(row: Row, *, base_url: str, versioned: bool) -> CheckoutPublicConfirmed:
    """The answer to a confirmation."""
    fields = {**_public(row, base_url, versioned), "status": "confirmed"}
    return CheckoutPublicConfirmed(**fields, customer_session_token=receipt_of(row.id))


def _public(row: Row, base_url: str, versioned: bool) -> dict[str, Any]:
    prefetch_related_objects([row], "product", "offers__product", "organization")
    organization: Organization = row.organization
    return {
        **_base(row, _products([row], versioned), base_url),
        "organization": CheckoutOrganization(
            id=organization.id,
            created_at=organization.created_at,
            name=organization.name,
            slug=slugify(organization.name) or str(organization.id),
        ),
    }


def _products(rows: Sequence[Row], versioned: bool) -> dict[UUID, Product]:
    found = {offer.product_id: offer.product for row in rows for offer in row.offers.all()}
    found |= {row.product_id: row.product for row in rows}
    return {product.id: product for product in product_objects(list(found.values()), versioned=versioned)}


def _base(row: Row, shown: dict[UUID, Product], base_url: str) -> dict[str, Any]:
    offers = [_for_buyers(shown[offer.product_id]) for offer in row.offers.all()]
    chosen = _for_buyers(shown[row.product_id])
    ahead = next((price for price in chosen.prices if price.amount_type != "metered_unit"), None)
    url = base_url + reverse("billing_checkout", args=[row.client_secret])
    has_trial = row.allow_trial and chosen.trial_interval is not None
    return {
        **{name: getattr(row, name) for name in _SAME},
        **{name: getattr(row, name) or None for name in _OR_NONE},
        "status": row.status_at(timezone.now()),
        "url": url,
        "success_url": row.success_url or url,
        "net_amount": row.amount,
        "total_amount": row.amount,
        "active_trial_interval": chosen.trial_interval if has_trial else None,
        "active_trial_interval_count": chosen.trial_interval_count if has_trial else None,
        "product_price_id": ahead.id if ahead else None,
        "is_free_product_price": ahead is not None and not getattr(ahead, "price_amount", 0),
        "is_payment_required": row.amount > 0,
        "is_payment_form_required": row.amount > 0,
        "products": offers,
        "product": chosen,
        "product_price": ahead,
        "prices": {str(each.id): each.prices for each in offers},
    }


_SAME = (
    *("id", "created_at", "modified_at", "client_secret", "expires_at", "amount", "allow_trial"),
    *("organization_id", "product_id", "customer_id", "customer_ip_address", "customer_billing_address"),
)
_OR_NONE = (
    *("return_url", "embed_origin", "customer_name", "customer_email", "customer_billing_name", "customer_tax_id"),
)


def _for_buyers(product: Product) -> CheckoutProduct:
    fields = {name: getattr(product, name) for name in CheckoutProduct.__struct_fields__ if name != "benefits"}
    return CheckoutProduct(**fields, benefits=list(map(_public_benefit, product.benefits)))


def _public_benefit(benefit: Benefit) -> PublicBenefit:
    fields = {name: getattr(benefit, name) for name in PublicBenefit.__struct_fields__ if name != "properties"}
    shown = benefit.properties if benefit.type == "meter_credit" else {}
    return PublicBenefit(**fields, properties=shown)
