"""Subscribing somebody without a checkout: only to what costs nothing now."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from billing.errors import InvalidValue
from billing.locks import cut_for, lock_customer
from billing.models import BillingReason, Customer, CustomerSubscription, Product
from billing.services.closing import close_customer
from billing.services.grants import grant_benefits
from billing.services.orders import fixed_lines, place_order
from billing.services.subscriptions import begin_subscription


@transaction.atomic
def create_subscription(
    *,
    organization_id: UUID,
    product_id: UUID,
    actor: Actor | str,
    at: datetime,
    customer_id: UUID | None = None,
    external_customer_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> CustomerSubscription:
    """Subscribe a customer to a product that is free or only metered. Raises InvalidValue."""
    product = Product.objects.of(organization_id).filter(pk=product_id, is_archived=False).first()
    if product is None:
        raise InvalidValue(["product_id"], "Product does not exist.", value=str(product_id))
    prices = list(product.prices.filter(is_archived=False))
    if not product.is_recurring or any(price.price_amount for price in prices):
        message = "Only free recurring products can be subscribed to directly. Create a checkout instead."
        raise InvalidValue(["product_id"], message, value=str(product_id))
    named = _named(organization_id, customer_id, external_customer_id)
    close_customer(customer_id=named.pk, at=at)
    cut_for(product.id, organization_id, at)
    customer = lock_customer(named.pk)
    subscription = begin_subscription(customer, product, prices, actor=actor, at=at, metadata=dict(metadata or {}))
    place_order(
        customer,
        product,
        fixed_lines(product, prices),
        billing_reason=BillingReason.SUBSCRIPTION_CREATE,
        actor=actor,
        at=at,
        is_paid=True,
        subscription=subscription,
    )
    grant_benefits(customer, product, subscription=subscription, actor=actor, at=at)
    return subscription


def _named(organization_id: UUID, customer_id: UUID | None, external_id: str | None) -> Customer:
    known = Customer.objects.of(organization_id)
    field, value = ("customer_id", customer_id) if customer_id else ("external_customer_id", external_id)
    if value is None:
        raise InvalidValue(["customer_id"], "A customer is needed.", kind="missing", value=None)
    found = known.filter(pk=customer_id) if customer_id else known.filter(external_id=external_id)
    customer = found.first()
    if customer is None:
        raise InvalidValue([field], "Customer does not exist.", value=str(value))
    return customer
