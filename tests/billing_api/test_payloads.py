"""What webhooks carry is what the routes answer."""

import json

import pytest

from billing_api.payloads import _PAYLOADS
from outbox.models import DomainEvent
from outbox.webhooks.registry import type_of


def data_of(event):
    return json.loads(type_of(event.type).render(event))


def test_every_type_of_the_wire_is_rendered_as_its_route_answers_it(wire, merchant):
    meter = wire.post("meters/", METER).json()
    product = wire.post("products/", {**PRODUCT, "prices": [{**PRICE, "meter_id": meter["id"]}]}).json()
    properties = {"units": 10, "rollover": False, "meter_id": meter["id"]}
    benefit = wire.post("benefits/", {"type": "meter_credit", "description": "Ten", "properties": properties}).json()
    wire.post(f"products/{product['id']}/benefits", {"benefits": [benefit["id"]]})
    checkout = wire.post("checkouts/", {"products": [product["id"]], "customer_email": "a@example.com"}).json()
    confirmed = wire.post(f"checkouts/client/{checkout['client_secret']}/confirm", {})
    assert confirmed.status_code == 200, confirmed.json()
    [subscription] = wire.get("subscriptions/").json()["items"]
    wire.send("PATCH", f"subscriptions/{subscription['id']}", {"cancel_at_period_end": True})
    wire.send("PATCH", f"subscriptions/{subscription['id']}", {"cancel_at_period_end": False})
    wire.send("DELETE", f"subscriptions/{subscription['id']}")
    events = {
        event.type.removeprefix("billing."): event for event in DomainEvent.objects.filter(type__startswith="billing.")
    }
    paths = {
        "order.paid": "orders/",
        "subscription.revoked": "subscriptions/",
        "customer.created": "customers/",
        "checkout.updated": "checkouts/",
        "product.updated": "products/",
        "benefit.created": "benefits/",
        "benefit_grant.revoked": "benefit-grants/",
    }
    for type, path in paths.items():
        assert data_of(events[type]) == wire.get(path).json()["items"][0], type
    for type in ("subscription.created", "subscription.active", "subscription.uncanceled", "benefit_grant.created"):
        assert data_of(events[type])["id"]
    customer = events["customer.created"]
    state = DomainEvent(type="billing.customer.state_changed", data=customer.data)
    assert data_of(state) == wire.get(f"customers/{customer.data['customer_id']}/state").json()


@pytest.mark.django_db
def test_what_is_gone_is_not_told():
    for name, (_, types) in _PAYLOADS.items():
        for type in types:
            event = DomainEvent(type=f"billing.{type}", data={name: "0191f6f0-0000-7000-8000-000000000000"})
            assert type_of(event.type).render(event) is None


METER = {
    "name": "llm-token-usage",
    "filter": {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "llm-usage"}]},
    "aggregation": {"func": "sum", "property": "totalTokens"},
}
PRODUCT = {"name": "Pay as you go", "recurring_interval": "month"}
PRICE = {"amount_type": "metered_unit", "unit_amount": "0.5"}
