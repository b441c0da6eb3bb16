"""The unmodified ``polar-sdk``, which names a version and reads answers strictly."""

from datetime import UTC, datetime, timedelta

import pytest
from polar.v2026_10 import Polar
from polar.v2026_10.errors import PolarClientError

pytestmark = pytest.mark.django_db
CALLS = {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "api-call"}]}


@pytest.fixture
def polar(merchant):
    with Polar(access_token=merchant.token, base_url=f"{merchant.url}/sandbox") as client:
        yield client


def test_the_strict_client_reads_every_object(polar):
    meter = polar.meters.create(name="api-calls", filter=CALLS, aggregation={"func": "count"})
    event = {"name": "api-call", "external_customer_id": "user_42", "metadata": {"endpoint": "/chat", "ms": 0.5}}
    assert polar.events.ingest(events=[event, event]).inserted == 2
    ada = polar.customers.create(email="ada@example.com", external_id="user_42", name="Ada")
    state = polar.customers.get_state_external("user_42")
    assert [(each.consumed_units, each.balance) for each in state.active_meters] == [(2, -2)]
    prices = [
        {"amount_type": "fixed", "price_amount": 1000, "price_currency": "usd"},
        {"amount_type": "metered_unit", "meter_id": meter.id, "unit_amount": "0.25", "price_currency": "usd"},
    ]
    product = polar.products.create(name="Pro", recurring_interval="month", prices=prices)
    properties = {"units": 5, "rollover": True, "meter_id": meter.id}
    benefit = polar.benefits.create(type="meter_credit", description="Five calls", properties=properties)
    assert polar.products.update_benefits(product.id, benefits=[benefit.id]).benefits[0].properties.units == 5

    checkout = polar.checkouts.create(products=[product.id], external_customer_id="user_42")
    with pytest.raises(PolarClientError) as declined:
        polar.checkouts.client_confirm(checkout.client_secret, confirmation_token_id="ctoken_test_decline")
    assert declined.value.status_code == 400
    paid = polar.checkouts.client_confirm(checkout.client_secret, confirmation_token_id="ctoken_test_success")
    assert paid.status == "confirmed" and polar.checkouts.get(checkout.id).status == "succeeded"
    assert polar.checkouts.client_get(checkout.client_secret).organization.name

    [order] = polar.orders.list(customer_id=ada.id).items
    assert (order.total_amount, order.subscription.status, order.refundable_amount) == (1000, "active", 1000)
    [subscription] = polar.subscriptions.list(active=True).items
    assert subscription.prices[1].unit_amount == "0.25" and subscription.meters[0].meter.name == "api-calls"
    [mine] = polar.customer_meters.list(external_customer_id="user_42").items
    assert (mine.meter.name, mine.credited_units, mine.customer.email) == ("api-calls", 5, "ada@example.com")
    assert polar.benefits.grants(benefit.id).items[0].is_granted
    assert {each.name for each in polar.events.list(customer_id=ada.id, source="user").items} == {"api-call"}
    now = datetime.now(UTC)
    found = polar.meters.quantities(
        meter.id,
        start_timestamp=(now - timedelta(hours=2)).isoformat(),
        end_timestamp=(now + timedelta(hours=1)).isoformat(),
        interval="hour",
        timezone="Europe/Berlin",
    )
    assert found.total == 2 and len(found.quantities) in (3, 4)
    refund = polar.refunds.create(order_id=order.id, reason="customer_request", amount=250)
    assert (refund.status, polar.refunds.list(order_id=order.id).items[0].id) == ("succeeded", refund.id)
    assert polar.orders.get(order.id).status == "partially_refunded"
    [type_of_event] = polar.event_types.list(source="user").items
    assert polar.event_types.update(type_of_event.id, label="Calls").label == "Calls"
    session = polar.customer_sessions.create(customer_id=ada.id)
    assert (session.customer.email, session.token in session.customer_portal_url) == ("ada@example.com", True)


def test_what_the_strict_client_cannot_read_is_sent_otherwise(polar):
    free = polar.products.create(
        name="Free", recurring_interval="month", prices=[{"amount_type": "free", "price_currency": "usd"}]
    )
    assert (free.prices[0].amount_type, free.prices[0].price_amount) == ("fixed", 0)
