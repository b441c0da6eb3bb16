"""Writes of products and their prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from billing.announcing import announce
from billing.errors import InvalidValue, NotFound
from billing.locks import lock_customer
from billing.models import Benefit, CustomerSubscription, PriceKind, Product, ProductBenefit, ProductPrice
from billing.services.closing import close_customer
from billing.services.grants import follow_product
from billing.usage import known_meters


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTerms:
    """A price to add, or with ``id`` one of the product's to keep. Amounts in cents."""

    id: UUID | None = None
    kind: str = PriceKind.FREE
    price_amount: int | None = None
    unit_amount: Decimal | None = None
    cap_amount: int | None = None
    meter_id: UUID | None = None


CHANGEABLE = frozenset({"name", "description", "metadata", "is_archived", "trial_interval", "trial_interval_count"})


@transaction.atomic
def create_product(
    *,
    organization_id: UUID,
    name: str,
    prices: Sequence[PriceTerms],
    actor: Actor | str,
    at: datetime,
    description: str = "",
    recurring_interval: str | None = None,
    recurring_interval_count: int = 1,
    trial_interval: str | None = None,
    trial_interval_count: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Product:
    """A product with its prices; without an interval it is sold once. Raises InvalidValue."""
    product = Product(
        organization_id=organization_id,
        name=name,
        description=description,
        recurring_interval=recurring_interval,
        recurring_interval_count=recurring_interval_count if recurring_interval else 1,
        trial_interval=trial_interval if recurring_interval else None,
        trial_interval_count=trial_interval_count if recurring_interval and trial_interval else None,
        metadata=dict(metadata or {}),
        created_at=at,
    )
    _check_prices(product, prices, kept={})
    product.save(force_insert=True)
    _add_prices(product, prices, at)
    announce("product.created", organization_id=organization_id, actor=actor, at=at, product_id=product.id)
    return product


@transaction.atomic
def update_product(
    *,
    organization_id: UUID,
    product_id: UUID,
    changes: Mapping[str, Any],
    actor: Actor | str,
    at: datetime,
    prices: Sequence[PriceTerms] | None = None,
) -> Product:
    """Change some of CHANGEABLE; ``prices`` is the new whole list: what it leaves out is archived.

    Running subscriptions keep the prices that they have. Raises NotFound, InvalidValue.
    """
    product = _locked(organization_id, product_id)
    for field in CHANGEABLE & changes.keys():
        setattr(product, field, changes[field])
    if product.trial_interval is None or product.trial_interval_count is None or not product.is_recurring:
        product.trial_interval = product.trial_interval_count = None
    product.modified_at = at
    product.save()
    if prices is not None:
        _replace_prices(product, prices, at)
    announce("product.updated", organization_id=organization_id, actor=actor, at=at, product_id=product.id)
    return product


@transaction.atomic
def attach_benefits(
    *, organization_id: UUID, product_id: UUID, benefit_ids: Sequence[UUID], actor: Actor | str, at: datetime
) -> Product:
    """Replace the product's benefits, in this order. Those who are subscribed follow soon.

    Raises NotFound, InvalidValue.
    """
    product = _locked(organization_id, product_id)
    known = Benefit.objects.of(organization_id).in_bulk(list(benefit_ids))
    for place, benefit_id in enumerate(benefit_ids):
        if benefit_id not in known:
            raise InvalidValue(["benefits", place], "Benefit not found.", value=str(benefit_id))
    product.product_benefits.all().delete()
    ProductBenefit.objects.bulk_create(
        ProductBenefit(product=product, benefit_id=benefit_id, position=place)
        for place, benefit_id in enumerate(dict.fromkeys(benefit_ids))
    )
    product.modified_at = at
    product.save(update_fields=["modified_at"])
    announce("product.updated", organization_id=organization_id, actor=actor, at=at, product_id=product.id)
    # not a type of the wire: it has running subscriptions follow (billing/handlers.py)
    announce("product.benefits_changed", organization_id=organization_id, actor=actor, at=at, product_id=product.id)
    return product


@transaction.atomic
def follow_benefits(*, subscription_id: UUID, actor: Actor | str, at: datetime) -> None:
    """Have a running subscription give what its product gives now. Doing so again changes nothing."""
    owner = CustomerSubscription.objects.values_list("customer_id", flat=True).get(pk=subscription_id)
    close_customer(customer_id=owner, at=at)
    customer = lock_customer(owner)
    subscription = CustomerSubscription.objects.select_related("product").get(pk=subscription_id)
    if subscription.is_running:
        follow_product(subscription, customer, actor=actor, at=at)


def _locked(organization_id: UUID, product_id: UUID) -> Product:
    product = Product.objects.of(organization_id).select_for_update(no_key=True).filter(pk=product_id).first()
    if product is None:
        raise NotFound("There is no such product.")
    return product


def _replace_prices(product: Product, prices: Sequence[PriceTerms], at: datetime) -> None:
    kept = product.prices.filter(is_archived=False).in_bulk()
    _check_prices(product, prices, kept=kept)
    named = {terms.id for terms in prices if terms.id}
    gone = [price_id for price_id in kept if price_id not in named]
    ProductPrice.objects.filter(pk__in=gone).update(is_archived=True, modified_at=at)
    for place, terms in enumerate(prices):
        if terms.id:
            ProductPrice.objects.filter(pk=terms.id).update(position=place)
    _add_prices(product, prices, at)


def _add_prices(product: Product, prices: Sequence[PriceTerms], at: datetime) -> None:
    ProductPrice.objects.bulk_create(
        ProductPrice(
            product=product,
            kind=terms.kind,
            price_amount=terms.price_amount,
            unit_amount=terms.unit_amount,
            cap_amount=terms.cap_amount,
            meter_id=terms.meter_id,
            position=place,
            created_at=at,
        )
        for place, terms in enumerate(prices)
        if terms.id is None
    )


def _check_prices(product: Product, prices: Sequence[PriceTerms], kept: Mapping[UUID, ProductPrice]) -> None:
    """One fixed or free price at most, next to any number of metered ones. Raises InvalidValue."""
    if not prices:
        raise InvalidValue(["prices"], "A product needs at least one price.", value=[])
    meters = known_meters(product.organization_id, [terms.meter_id for terms in prices if terms.meter_id])
    static = 0
    for place, terms in enumerate(prices):
        if terms.id is not None and terms.id not in kept:
            raise InvalidValue(["prices", place, "id"], "Price not found.", value=str(terms.id))
        kind = kept[terms.id].kind if terms.id else terms.kind
        static += kind != PriceKind.METERED_UNIT
        if static > 1:
            raise InvalidValue(["prices", place], "Only one fixed or free price is allowed.")
        if terms.id is None and kind == PriceKind.METERED_UNIT:
            _check_metered(product, terms, place, meters)
        if terms.id is None and kind == PriceKind.FIXED and (terms.price_amount is None or terms.price_amount < 0):
            raise InvalidValue(["prices", place, "price_amount"], "An amount in cents is needed.")


def _check_metered(product: Product, terms: PriceTerms, place: int, meters: Mapping[UUID, Any]) -> None:
    if not product.is_recurring:
        raise InvalidValue(["prices", place], "Metered pricing is only supported on recurring products.")
    if terms.meter_id not in meters:
        raise InvalidValue(["prices", place, "meter_id"], "Meter not found.", value=str(terms.meter_id))
    if terms.unit_amount is None or terms.unit_amount <= 0:
        raise InvalidValue(["prices", place, "unit_amount"], "The amount of a unit must be above zero.")
