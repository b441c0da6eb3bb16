"""A merchant with something to sell: short ways to what these tests are about."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from accounts.models import Organization
from billing import services
from billing.models import Benefit, Checkout, Customer, CustomerMeter, CustomerSubscription, Order, Product
from billing.services import PriceTerms
from billing.state import customer_state
from metering.customer_events import CustomerEvent
from metering.models import Meter
from metering.services import create_meter, ingest_events
from tests.builders import NOON

ACTOR = "test"
PAYS, LATER, DECLINES = "ctoken_test_success", "ctoken_test_success_then_decline", "ctoken_test_decline"
_numbers = count(1)


def after(**span: float) -> datetime:
    """NOON and some time."""
    return NOON + timedelta(**span)


def make_meter(merchant: Organization, name: str = "tokens", func: str = "sum") -> Meter:
    """Sums ``n`` over events called ``name`` unless said otherwise."""
    clause = {"property": "name", "operator": "eq", "value": name}
    aggregation = {"func": func} if func == "count" else {"func": func, "property": "n"}
    return create_meter(
        organization_id=merchant.id,
        name=name,
        filter={"conjunction": "and", "clauses": [clause]},
        aggregation=aggregation,
        actor=ACTOR,
        at=NOON,
    )


def fixed(cents: int) -> PriceTerms:
    return PriceTerms(kind="fixed", price_amount=cents)


def metered(meter: Meter, unit: str, cap: int | None = None) -> PriceTerms:
    return PriceTerms(kind="metered_unit", meter_id=meter.id, unit_amount=Decimal(unit), cap_amount=cap)


def make_product(
    merchant: Organization, *prices: PriceTerms, every: str | None = "month", benefits: tuple = (), **fields: Any
) -> Product:
    fields = {"name": "Pro", "at": NOON, **fields}
    product = services.create_product(
        organization_id=merchant.id,
        prices=prices or (fixed(1000),),
        recurring_interval=every,
        actor=ACTOR,
        **fields,
    )
    if benefits:
        ids = [benefit.id for benefit in benefits]
        services.attach_benefits(
            organization_id=merchant.id, product_id=product.id, benefit_ids=ids, actor=ACTOR, at=NOON
        )
    return product


def make_benefit(merchant: Organization, meter: Meter, units: int = 1000, rollover: bool = False) -> Benefit:
    return services.create_benefit(
        organization_id=merchant.id,
        type="meter_credit",
        description=f"{units} units",
        meter_id=meter.id,
        units=units,
        rollover=rollover,
        actor=ACTOR,
        at=NOON,
    )


def make_buyer(merchant: Organization, external_id: str | None = None, **fields: Any) -> Customer:
    number = next(_numbers)
    fields = {"email": f"buyer{number}@example.com", "at": NOON, **fields}
    return services.create_customer(
        organization_id=merchant.id, external_id=external_id or f"user_{number}", actor=ACTOR, **fields
    )


def open_checkout(customer: Customer, product: Product, *, at: datetime = NOON, **fields: Any) -> Checkout:
    return services.open_checkout(
        organization_id=customer.organization_id,
        product_ids=[product.id],
        customer_id=customer.id,
        actor=ACTOR,
        at=at,
        **fields,
    )


def buy(customer: Customer, product: Product, *, at: datetime = NOON, token: str = PAYS) -> Checkout:
    """Opened and confirmed."""
    checkout = open_checkout(customer, product, at=at)
    return services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=token, at=at)


def subscribe(customer: Customer, product: Product, *, at: datetime = NOON, token: str = PAYS) -> CustomerSubscription:
    return CustomerSubscription.objects.get(checkout=buy(customer, product, at=at, token=token))


def use(customer: Customer, n: Any = 1, *, at: datetime, name: str = "tokens") -> None:
    """One event of the customer by his external id, received at ``at``."""
    event = CustomerEvent(name=name, external_customer_id=customer.external_id, metadata={"n": n})
    ingest_events(organization_id=customer.organization_id, events=[event], at=at)


def credit_of(customer: Customer, meter: Meter) -> CustomerMeter:
    return CustomerMeter.objects.get(customer=customer, meter_id=meter.id)


def orders_of(customer: Customer) -> list[tuple[str, str, int]]:
    """Reason, status and amount of each, oldest first."""
    rows = Order.objects.filter(customer=customer).order_by("created_at", "id")
    return list(rows.values_list("billing_reason", "status", "amount"))


def told(merchant: Organization) -> list[str]:
    """What was announced, without the prefix, by instant and name."""
    types = merchant.domain_events.filter(type__startswith="billing.").order_by("created_at", "type")
    return [type.removeprefix("billing.") for type in types.values_list("type", flat=True)]


def state_at(customer, at):
    [meter] = customer_state(Customer.objects.get(pk=customer.pk), at=at).meters
    return meter.consumed, meter.credited, meter.balance
