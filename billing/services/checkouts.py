"""Checkouts: opened by the merchant, changed and confirmed by whoever has the secret."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from billing.announcing import announce
from billing.collecting import provider_for
from billing.errors import CheckoutExpired, CheckoutNotOpen, CustomerPaymentDeclined, InvalidValue, NotFound
from billing.locks import lock_checkout, lock_customer
from billing.models import (
    Charge,
    ChargeStatus,
    Checkout,
    CheckoutProduct,
    CheckoutStatus,
    Customer,
    Product,
)
from billing.services.charging import submit_charge
from billing.services.closing import close_customer
from billing.services.completing import buyer_of, check_buyer, complete_checkout

LIFETIME = timedelta(hours=24)
ACTOR = "checkout"
# What whoever has the secret may say of himself, and what the merchant may change.
OF_BUYER = frozenset({"customer_email", "customer_name", "customer_billing_name", "customer_billing_address"})
OF_BUYER |= {"customer_tax_id", "allow_trial"}
OF_MERCHANT = OF_BUYER | {"metadata", "customer_metadata", "success_url", "return_url", "embed_origin"}
_ADDRESSES = ("success_url", "return_url")
_HOST = frozenset(" ;,'\"\\*<>")  # what no host has


@transaction.atomic
def open_checkout(
    *,
    organization_id: UUID,
    product_ids: Sequence[UUID],
    actor: Actor | str,
    at: datetime,
    customer_id: UUID | None = None,
    external_customer_id: str | None = None,
    **details: Any,
) -> Checkout:
    """An offer of one of the products, the first one chosen. ``details``: some of OF_MERCHANT, ``customer_ip_address``.

    Raises InvalidValue.
    """
    products = _offered(organization_id, product_ids)
    customer = _named(organization_id, customer_id, external_customer_id)
    checkout = Checkout(
        organization_id=organization_id,
        client_secret=f"fbx_c_{secrets.token_urlsafe(32)}",
        product=products[0],
        customer=customer,
        external_customer_id=external_customer_id or (customer.external_id if customer else None),
        amount=due_now(products[0]),
        created_at=at,
        expires_at=at + LIFETIME,
        customer_ip_address=details.pop("customer_ip_address", None),
    )
    if customer is not None:
        checkout.customer_email, checkout.customer_name = customer.email, customer.name
        checkout.customer_billing_name = customer.billing_name
        checkout.customer_billing_address = customer.billing_address
    _apply(checkout, details, OF_MERCHANT)
    _take_merchants_word(checkout)
    _choose_amount(checkout)
    checkout.save(force_insert=True)
    CheckoutProduct.objects.bulk_create(
        CheckoutProduct(checkout=checkout, product=product, position=place) for place, product in enumerate(products)
    )
    announce("checkout.created", organization_id=organization_id, actor=actor, at=at, checkout_id=checkout.id)
    return checkout


@transaction.atomic
def update_checkout(
    *,
    client_secret: str,
    changes: Mapping[str, Any],
    at: datetime,
    product_id: UUID | None = None,
    actor: Actor | str = ACTOR,
    is_merchant: bool = False,
) -> Checkout:
    """Change an open checkout, also the chosen product.

    Raises NotFound, CheckoutNotOpen, CheckoutExpired, InvalidValue.
    """
    checkout = lock_checkout(client_secret)
    _check_open(checkout, at)
    _apply(checkout, changes, OF_MERCHANT if is_merchant else OF_BUYER)
    if is_merchant and changes.get("customer_email"):  # his own word, not what a buyer has typed before
        _take_merchants_word(checkout)
    if product_id is not None:
        offer = checkout.offers.select_related("product").filter(product_id=product_id).first()
        if offer is None:
            raise InvalidValue(["product_id"], "Product is not available on this checkout.", value=str(product_id))
        checkout.product = offer.product
    _choose_amount(checkout)
    checkout.modified_at = at
    checkout.save()
    announce("checkout.updated", organization_id=checkout.organization_id, actor=actor, at=at, checkout_id=checkout.id)
    return checkout


def confirm_checkout(
    *, client_secret: str, at: datetime, confirmation_token: str = "", details: Mapping[str, Any] | None = None
) -> Checkout:
    """Pay, and hand over what is bought: once, however often this is called.

    Afterwards the checkout has succeeded, or is still ``confirmed`` when the provider decides later. ``details``: some
    of OF_BUYER. Nothing to pay needs no token. Raises NotFound, CheckoutNotOpen, CheckoutExpired, InvalidValue,
    CustomerPaymentDeclined (the checkout is open again).
    """
    charge = _begin(client_secret, confirmation_token, details or {}, at)
    if charge is not None:
        charge = submit_charge(charge_id=charge.id, at=at, is_late=False)
        if charge is not None and charge.status == ChargeStatus.FAILED:
            raise CustomerPaymentDeclined(charge.failure_message, failure_code=charge.failure_code)
    return Checkout.objects.select_related("product", "customer").get(client_secret=client_secret)


def expire_checkouts(*, at: datetime, limit: int = 500) -> int:
    """Close those that were left, and tell their merchants; how many."""
    with transaction.atomic():
        left = list(Checkout.objects.over(at).select_for_update(no_key=True, skip_locked=True)[:limit])
        ids = [checkout.pk for checkout in left]
        Checkout.objects.filter(pk__in=ids).update(status=CheckoutStatus.EXPIRED, modified_at=at)
        for each in left:
            announce("checkout.updated", organization_id=each.organization_id, actor=ACTOR, at=at, checkout_id=each.id)
        return len(left)


def due_now(product: Product) -> int:
    """Cents to pay at once: nothing for what is free or metered."""
    prices = product.prices.filter(is_archived=False)
    return sum(price.price_amount or 0 for price in prices)


@transaction.atomic
def _begin(client_secret: str, token: str, details: Mapping[str, Any], at: datetime) -> Charge | None:
    """Take the checkout from everybody else; the charge to be made, None when nothing is to be paid and all is done."""
    _close_before(client_secret, details, at)
    checkout = lock_checkout(client_secret, cut_at=at)
    _check_open(checkout, at)
    _apply(checkout, details, OF_BUYER)
    check_buyer(checkout, token)
    _choose_amount(checkout)
    if checkout.amount and not token:
        message = "A confirmation token is needed to pay."
        raise InvalidValue(["confirmation_token_id"], message, kind="missing", value=None)
    checkout.modified_at = at
    if not checkout.amount and not (token and checkout.product.is_recurring):
        checkout.status = CheckoutStatus.CONFIRMED
        buyer = buyer_of(checkout)
        complete_checkout(checkout, buyer and lock_customer(buyer.pk), actor=ACTOR, at=at)
        return None
    checkout.status = CheckoutStatus.CONFIRMED
    checkout.save()
    return Charge.objects.create(
        organization_id=checkout.organization_id,
        customer=buyer_of(checkout),
        checkout=checkout,
        amount=checkout.amount,
        provider=provider_for(checkout.organization_id),
        token=token,
        attempts=1,
        retry_at=at,
        created_at=at,
    )


def _close_before(client_secret: str, details: Mapping[str, Any], at: datetime) -> None:
    """What is bought belongs to the periods that run now."""
    seen = Checkout.objects.filter(client_secret=client_secret).first()
    if seen is not None:
        seen.customer_email = details.get("customer_email") or seen.customer_email
        buyer = buyer_of(seen)
        close_customer(customer_id=buyer.pk if buyer else None, at=at)


def _check_open(checkout: Checkout, at: datetime) -> None:
    if checkout.status_at(at) == CheckoutStatus.EXPIRED:
        raise CheckoutExpired()
    if checkout.status != CheckoutStatus.OPEN:
        raise CheckoutNotOpen()


def _choose_amount(checkout: Checkout) -> None:
    """What is to be paid now: the prices of today, nothing while a trial runs."""
    has_trial = checkout.allow_trial and checkout.product.trial_interval is not None
    checkout.amount = 0 if has_trial else due_now(checkout.product)


def _apply(checkout: Checkout, values: Mapping[str, Any], allowed: frozenset[str]) -> None:
    for field in allowed & values.keys():
        value = values[field]
        if field in _ADDRESSES and value:
            _check_address(field, value)
        if value is not None:
            setattr(checkout, field, value)


def _check_address(field: str, address: str) -> None:
    """Browsers are sent there: nothing but a web address."""
    parts = urlsplit(address)
    # Its origin goes into the content policy of the page: nothing in it may begin another directive.
    if parts.scheme not in ("http", "https") or not parts.hostname or not _HOST.isdisjoint(parts.netloc):
        raise InvalidValue([field], "This must be an http or https address.", kind="url_scheme", value=address)


def _offered(organization_id: UUID, product_ids: Sequence[UUID]) -> list[Product]:
    if not product_ids:
        raise InvalidValue(["products"], "At least one product is needed.", kind="too_short", value=[])
    known = Product.objects.of(organization_id).in_bulk(list(product_ids))
    for place, product_id in enumerate(product_ids):
        product = known.get(product_id)
        if product is None:
            raise InvalidValue(["products", place], "Product does not exist.", value=str(product_id))
        if product.is_archived:
            raise InvalidValue(["products", place], "Product is archived.", value=str(product_id))
    return [known[product_id] for product_id in dict.fromkeys(product_ids)]


def _named(organization_id: UUID, customer_id: UUID | None, external_id: str | None) -> Customer | None:
    known = Customer.objects.of(organization_id)
    if customer_id is not None:
        customer = known.filter(pk=customer_id).first()
        if customer is None:
            raise InvalidValue(["customer_id"], "Customer does not exist.", value=str(customer_id))
        return customer
    return known.filter(external_id=external_id).first() if external_id else None


def _take_merchants_word(checkout: Checkout) -> None:
    """An external id that nobody has, beside the address of a customer who has none: the merchant says they are one."""
    if checkout.customer is None and checkout.external_customer_id and checkout.customer_email:
        buyer = buyer_of(checkout)
        if buyer is not None and buyer.external_id is None:
            checkout.customer = buyer


def checkout_of(organization_id: UUID, checkout_id: UUID) -> Checkout:
    """One of the organization's checkouts. Raises NotFound."""
    found = Checkout.objects.of(organization_id).select_related("product", "customer").filter(pk=checkout_id).first()
    if found is None:
        raise NotFound("There is no such checkout.")
    return found
