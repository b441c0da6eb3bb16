"""What a merchant sells, as the wire shows it: products, prices, benefits."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Prefetch, prefetch_related_objects

from billing.models import Benefit as BenefitRow
from billing.models import BenefitType, PriceKind, ProductBenefit, ProductPrice
from billing.models import Product as ProductRow
from billing_api.objects.meters import PriceMeter, price_meter
from billing_api.wire import plain
from metering.meters.models import Meter as MeterRow

Meters = Mapping[UUID, MeterRow]
CURRENCY = "usd"


class ProductBase(msgspec.Struct, kw_only=True):
    """A product without what hangs on it."""

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
    is_deletable: bool = False
    organization_id: UUID
    metadata: dict[str, Any]


class Product(ProductBase, kw_only=True):
    """A product with its prices and benefits."""

    prices: list[Any]
    benefits: list[Any]
    medias: list[Any] = []
    attached_custom_fields: list[Any] = []


class PriceBase(msgspec.Struct, kw_only=True):
    """What all prices say."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    source: str = "catalog"
    price_currency: str = CURRENCY
    tax_behavior: str | None = None
    is_archived: bool
    product_id: UUID
    type: str
    recurring_interval: str | None


class FixedPrice(PriceBase, kw_only=True):
    """Cents, ahead."""

    amount_type: str = "fixed"
    price_amount: int


class FreePrice(PriceBase, kw_only=True):
    """Nothing."""

    amount_type: str = "free"


class MeteredPrice(PriceBase, kw_only=True):
    """Cents a unit of a meter, afterwards; ``unit_amount`` is text, so that no digit is lost."""

    amount_type: str = "metered_unit"
    unit_amount: str
    cap_amount: int | None
    meter_id: UUID
    meter: PriceMeter


class MeterCreditProperties(msgspec.Struct, kw_only=True):
    """What a benefit credits, each time it is given."""

    units: int
    rollover: bool
    meter_id: UUID


class CustomProperties(msgspec.Struct, kw_only=True):
    """The merchant's own words."""

    note: str | None


class Benefit(msgspec.Struct, kw_only=True):
    """What a customer has from a product."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    type: str
    description: str
    selectable: bool = True
    deletable: bool = True
    is_deleted: bool
    organization_id: UUID
    metadata: dict[str, Any]
    visibility: str = "public"
    visibility_configurable: bool = False
    properties: MeterCreditProperties | CustomProperties | Any


def product_fields(row: ProductRow) -> dict[str, Any]:
    """What a product and its short form have in common."""
    return {
        "id": row.id,
        "created_at": row.created_at,
        "modified_at": row.modified_at,
        "trial_interval": row.trial_interval,
        "trial_interval_count": row.trial_interval_count,
        "name": row.name,
        "description": row.description or None,
        "recurring_interval": row.recurring_interval,
        "recurring_interval_count": row.recurring_interval_count if row.is_recurring else None,
        "is_recurring": row.is_recurring,
        "is_archived": row.is_archived,
        "organization_id": row.organization_id,
        "metadata": row.metadata,
    }


def product_base(row: ProductRow) -> ProductBase:
    """The product without prices and benefits."""
    return ProductBase(**product_fields(row))


def product_objects(rows: Sequence[ProductRow], *, versioned: bool) -> list[Product]:
    """The products with their present prices and benefits; ``versioned`` clients read free prices as 0 cents."""
    prefetch_related_objects(
        list(rows),
        Prefetch("prices", ProductPrice.objects.filter(is_archived=False), to_attr="present_prices"),
        Prefetch("product_benefits", ProductBenefit.objects.select_related("benefit"), to_attr="present_benefits"),
    )
    prices = {row.id: row.present_prices for row in rows}  # type: ignore[attr-defined]
    meters = meters_of(price for each in prices.values() for price in each)
    return [
        Product(
            **product_fields(row),
            prices=price_objects(prices[row.id], row, meters, versioned=versioned),
            benefits=[
                benefit_object(each.benefit)
                for each in row.present_benefits  # type: ignore[attr-defined]
                if each.benefit.deleted_at is None
            ],
        )
        for row in rows
    ]


def product_object(row: ProductRow, *, versioned: bool) -> Product:
    """One product."""
    return product_objects([row], versioned=versioned)[0]


def meters_of(prices: Iterable[ProductPrice]) -> Meters:
    """The meters that the prices bill."""
    ids = {price.meter_id for price in prices if price.meter_id}
    return MeterRow.objects.in_bulk(ids) if ids else {}


def price_objects(prices: Iterable[ProductPrice], product: ProductRow, meters: Meters, *, versioned: bool) -> list[Any]:
    """The prices as the wire shows them."""
    return [_price(price, product, meters, versioned) for price in prices]


def _price(price: ProductPrice, product: ProductRow, meters: Meters, versioned: bool) -> Any:
    common: dict[str, Any] = {
        "id": price.id,
        "created_at": price.created_at,
        "modified_at": price.modified_at,
        "is_archived": price.is_archived,
        "product_id": product.id,
        "type": "recurring" if product.is_recurring else "one_time",
        "recurring_interval": product.recurring_interval,
    }
    if price.kind == PriceKind.METERED_UNIT and price.meter_id and price.unit_amount is not None:
        return MeteredPrice(
            **common,
            unit_amount=plain(price.unit_amount),
            cap_amount=price.cap_amount,
            meter_id=price.meter_id,
            meter=price_meter(meters[price.meter_id]),
        )
    if price.kind == PriceKind.FREE and not versioned:
        return FreePrice(**common)
    return FixedPrice(**common, price_amount=price.price_amount or 0)


def benefit_object(row: BenefitRow) -> Benefit:
    """The benefit as the wire shows it."""
    return Benefit(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        type=row.type,
        description=row.description,
        is_deleted=row.deleted_at is not None,
        organization_id=row.organization_id,
        metadata=row.metadata,
        properties=benefit_properties(row),
    )


def benefit_properties(row: BenefitRow) -> MeterCreditProperties | CustomProperties:
    """What the benefit gives."""
    if row.type == BenefitType.METER_CREDIT and row.units is not None and row.meter_id is not None:
        return MeterCreditProperties(units=row.units, rollover=row.rollover, meter_id=row.meter_id)
    return CustomProperties(note=row.note or None)
