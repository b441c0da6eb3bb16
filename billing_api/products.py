"""Products, their prices and their benefits."""

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billing.models import Product as Row
from billing.services import PriceTerms, attach_benefits, create_product, update_product
from billing_api.bodies import Metadata, checked_metadata, sent
from billing_api.calls import Call
from billing_api.customers import own_organization
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import Place, ResourceNotFound, invalid
from billing_api.objects.catalogue import CURRENCY, Product, product_object, product_objects
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows
from billing_api.wire import decimal_of
from core.money import EXACT

Name = Annotated[str, Meta(min_length=3, max_length=200)]
Text = Annotated[str, Meta(max_length=20_000)]
Interval = Literal["day", "week", "month", "year"]
Count = Annotated[int, Meta(ge=1, le=999)]
Cents = Annotated[int, Meta(ge=0, le=99_999_999_999)]
_SORTED_BY = {"created_at": "created_at", "name": "name"}
_DIGITS, _PLACES = 17, 12  # of a unit's amount


class PriceIn(msgspec.Struct, kw_only=True):
    """A price to add: fixed (cents), free, or metered_unit (cents a unit); with ``id`` alone one to keep."""

    id: UUID | None = None
    amount_type: Literal["fixed", "free", "metered_unit"] | None = None
    price_currency: str = CURRENCY
    price_amount: Cents | None = None
    unit_amount: Any = None
    cap_amount: Cents | None = None
    meter_id: UUID | None = None


class ProductCreate(msgspec.Struct, kw_only=True):
    """Something to sell: once, or by the period of ``recurring_interval``."""

    name: Name
    prices: Annotated[list[PriceIn], Meta(min_length=1, max_length=50)]
    description: Text | None = None
    recurring_interval: Interval | None = None
    recurring_interval_count: Count | None = 1
    trial_interval: Interval | None = None
    trial_interval_count: Count | None = None
    metadata: Metadata = {}
    organization_id: UUID | None = None


class ProductUpdate(msgspec.Struct, kw_only=True):
    """What to change. ``prices`` is the new whole list: what it leaves out is sold no more."""

    name: Name | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    recurring_interval: Interval | UnsetType | None = UNSET
    trial_interval: Interval | UnsetType | None = UNSET
    trial_interval_count: Count | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    is_archived: bool | UnsetType | None = UNSET
    prices: Annotated[list[PriceIn], Meta(min_length=1, max_length=50)] | UnsetType | None = UNSET


class ProductBenefits(msgspec.Struct, kw_only=True):
    """The benefits that come with the product, in this order."""

    benefits: Annotated[list[UUID], Meta(max_length=100)]


class ProductQuery(PageQuery, kw_only=True):
    """Which products."""

    id: list[UUID] = []
    query: str | None = None
    is_archived: bool | None = None
    is_recurring: bool | None = None
    benefit_id: list[UUID] = []


@endpoint("GET", "products/", scope="products:read", query=ProductQuery, answer=PageOf(Product))
def list_products(call: Call, query: ProductQuery) -> Page:
    """List products, the newest first."""
    rows = narrowed(Row.objects.of(call.organization_id), call.organization_id, query)
    if query.id:
        rows = rows.filter(id__in=query.id)
    if query.query:
        rows = rows.filter(name__icontains=query.query)
    if query.is_archived is not None:
        rows = rows.filter(is_archived=query.is_archived)
    if query.is_recurring is not None:
        rows = rows.filter(recurring_interval__isnull=not query.is_recurring)
    if query.benefit_id:
        rows = rows.filter(product_benefits__benefit_id__in=query.benefit_id).distinct()
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, lambda found: product_objects(found, versioned=call.speaks_versions))


@endpoint(
    "POST",
    "products/",
    scope="products:write",
    status=201,
    body=ProductCreate,
    answer=Product,
    example={
        "name": "Pro",
        "recurring_interval": "month",
        "prices": [{"amount_type": "fixed", "price_amount": 1000, "price_currency": "usd"}],
    },
)
def create_a_product(call: Call, body: ProductCreate) -> Product:
    """Create a product with its prices."""
    own_organization(call, body.organization_id)
    row = create_product(
        organization_id=call.organization_id,
        name=body.name,
        description=body.description or "",
        prices=[_terms(price, place) for place, price in enumerate(body.prices)],
        recurring_interval=body.recurring_interval,
        recurring_interval_count=body.recurring_interval_count or 1,
        trial_interval=body.trial_interval,
        trial_interval_count=body.trial_interval_count,
        metadata=checked_metadata(body.metadata),
        actor=call.actor,
        at=call.at,
    )
    return product_object(row, versioned=call.speaks_versions)


@endpoint("GET", "products/{id}", scope="products:read", answer=Product)
def get_product(call: Call, id: UUID) -> Product:
    """Get a product."""
    return product_object(product_by_id(call, id), versioned=call.speaks_versions)


@endpoint(
    "PATCH",
    "products/{id}",
    scope="products:write",
    body=ProductUpdate,
    answer=Product,
    example={"prices": [{"amount_type": "fixed", "price_amount": 1500, "price_currency": "usd"}]},
)
def update_a_product(call: Call, id: UUID, body: ProductUpdate) -> Product:
    """Change a product. Running subscriptions keep the prices that they have."""
    row = product_by_id(call, id)
    if body.recurring_interval not in (UNSET, None, row.recurring_interval):
        raise invalid(["body", "recurring_interval"], "The interval of a product cannot be changed.")
    changes = sent(body, *(set(body.__struct_fields__) - {"prices", "recurring_interval"}))
    for name in ("name", "metadata", "is_archived"):
        if changes.get(name, UNSET) is None:
            del changes[name]
    if "description" in changes:
        changes["description"] = changes["description"] or ""
    if "metadata" in changes:
        changes["metadata"] = checked_metadata(changes["metadata"])
    prices = None
    if isinstance(body.prices, list):
        prices = [_terms(price, place) for place, price in enumerate(body.prices)]
    row = update_product(
        organization_id=call.organization_id,
        product_id=id,
        changes=changes,
        prices=prices,
        actor=call.actor,
        at=call.at,
    )
    return product_object(row, versioned=call.speaks_versions)


@endpoint(
    "POST",
    "products/{id}/benefits",
    scope="products:write",
    body=ProductBenefits,
    answer=Product,
    example={"benefits": ["0191f6f0-0000-7000-8000-000000000000"]},
)
def replace_benefits(call: Call, id: UUID, body: ProductBenefits) -> Product:
    """Replace the benefits of a product. Those who are subscribed to it follow soon."""
    product_by_id(call, id)
    row = attach_benefits(
        organization_id=call.organization_id, product_id=id, benefit_ids=body.benefits, actor=call.actor, at=call.at
    )
    return product_object(row, versioned=call.speaks_versions)


def product_by_id(call: Call, id: UUID) -> Row:
    """The merchant's product. Raises ResourceNotFound."""
    found: Row | None = Row.objects.of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return found


def _terms(price: PriceIn, place: int) -> PriceTerms:
    at: Place = ["body", "prices", place]
    if price.id is not None:
        return PriceTerms(id=price.id)
    if price.amount_type is None:
        raise invalid([*at, "amount_type"], "Field required", "missing")
    if price.price_currency.lower() != CURRENCY:
        raise invalid([*at, "price_currency"], "The currency must be usd.", "enum", price.price_currency)
    if price.amount_type == "free":
        return PriceTerms(kind="free")
    if price.amount_type == "fixed":
        if price.price_amount is None:
            raise invalid([*at, "price_amount"], "Field required", "missing")
        return PriceTerms(kind="fixed", price_amount=price.price_amount)
    if price.meter_id is None:
        raise invalid([*at, "meter_id"], "Field required", "missing")
    amount = _unit_amount(price.unit_amount, [*at, "unit_amount"])
    return PriceTerms(kind="metered_unit", unit_amount=amount, cap_amount=price.cap_amount, meter_id=price.meter_id)


def _unit_amount(given: Any, place: Place) -> Decimal:
    """Cents a unit: above zero, 17 digits, 12 of them after the point."""
    if given is None:
        raise invalid(place, "Field required", "missing")
    amount = decimal_of(given)
    if amount is None:
        kind = "decimal_parsing" if isinstance(given, str) else "decimal_type"
        raise invalid(place, "Input should be a number or the text of one.", kind, str(given)[:80])
    if amount <= 0:
        raise invalid(place, "The amount of a unit must be above zero.", "greater_than", str(given)[:80])
    words = f"At most {_DIGITS} digits, {_PLACES} of them after the point."
    if not -_PLACES <= amount.adjusted() < _DIGITS:  # looked at first: what has no bounds has no plain form
        raise invalid(place, words, "decimal_max_digits")
    _, digits, exponent = amount.normalize(EXACT).as_tuple()
    if -int(exponent) > _PLACES or len(digits) > _DIGITS:
        raise invalid(place, words, "decimal_max_digits")
    return amount.normalize(EXACT)
