"""What the clients' own tests leave out: every route by its id, from both sides of a merchant's wall."""

from urllib.parse import quote

import pytest
from django.utils import timezone

from accounts.models import IdempotencyRecord
from billing.models import Checkout, StateNotice
from billing_api.endpoints import ENDPOINTS
from billing_api.wire import encode
from outbox.models import DomainEvent
from tests.billing_api.wire import Wire, places, refused
from tests.builders import NOON, make_customer, make_key
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms

METER = {
    "name": "llm-token-usage",
    "filter": {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "llm-usage"}]},
    "aggregation": {"func": "sum", "property": "totalTokens"},
}
SECRETS = "checkouts/client/"
# What Python takes for a number, and no client means as one.
ODD_NUMBERS = ("1_000", "\u0661\u0662", " 1", "1\n", "1,5", "0x1", "Infinity", "", "--1", ".", "1e", "9" * 80)


@pytest.fixture
def sold(wire):
    """The id of one object of every kind, by the first step of its path."""
    meter = made(wire, "meters/", METER)
    price = {"amount_type": "metered_unit", "unit_amount": "0.5", "meter_id": meter["id"]}
    product = made(wire, "products/", {"name": "Metered", "recurring_interval": "month", "prices": [price]})
    properties = {"units": 10, "rollover": False, "meter_id": meter["id"]}
    benefit = made(wire, "benefits/", {"type": "meter_credit", "description": "Ten", "properties": properties})
    wire.post(f"products/{product['id']}/benefits", {"benefits": [benefit["id"]]})
    customer = made(wire, "customers/", {"email": "ada@example.com", "external_id": "ada"})
    made(wire, "subscriptions/", {"product_id": product["id"], "customer_id": customer["id"]})
    checkout = made(wire, "checkouts/", {"products": [product["id"]], "customer_id": customer["id"]})
    wire.post("events/ingest", {"events": [{"name": "llm-usage", "external_customer_id": "ada"}]})
    lists = ("events", "event-types", "orders", "subscriptions", "customer-meters", "organization-access-tokens")
    ids = {name: wire.get(f"{name}/").json()["items"][0]["id"] for name in lists}
    known = {"meters": meter, "products": product, "benefits": benefit, "customers": customer, "checkouts": checkout}
    known["customer-sessions"] = made(wire, "customer-sessions/", {"customer_id": customer["id"]})
    return {**ids, **{name: each["id"] for name, each in known.items()}, "secret": checkout["client_secret"]}


def made(wire, path, body):
    answer = wire.post(path, body)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def by_id(endpoints):
    return [each for each in endpoints if "{id}" in each.path and not each.path.startswith("webhooks/")]


def test_a_strangers_ids_lead_nowhere_and_ones_own_lead_somewhere(wire, sold):
    stranger = Wire(make_key(make_customer())[1])
    before = DomainEvent.objects.count()
    for each in by_id(ENDPOINTS):
        path = each.path.replace("{id}", sold[each.path.split("/")[0]])
        if each.query is not None and each.path.endswith("quantities"):
            path += "?start_timestamp=2026-03-01T00:00:00Z&end_timestamp=2026-03-02T00:00:00Z&interval=day"
        body = None if each.body is None else encode(each.example)
        answer = stranger.send(each.method, path, body)
        assert answer.status_code == 404, (each.method, path, answer.content)
        if each.method == "GET":
            assert wire.get(path).status_code == 200, path
    for path in ("customers/external/ada", "customers/external/ada/state"):
        assert (stranger.get(path).status_code, wire.get(path).status_code) == (404, 200)
    listed = [each for each in ENDPOINTS if each.method == "GET" and each.path.endswith("/")]
    assert len(listed) >= 11
    ours = {"organization-access-tokens/"}
    for each in listed:
        assert bool(stranger.get(each.path).json()["items"]) is (each.path in ours), each.path
    assert DomainEvent.objects.count() == before


def test_every_list_passes_over_metadata_that_its_rows_have_not(wire):
    read = [each.path for each in ENDPOINTS if each.method == "GET"]
    lists = [path for path in read if path.endswith(("s/", "endpoints", "deliveries"))]
    assert {"webhooks/endpoints", "webhooks/deliveries", "customers/"} <= set(lists)
    assert {path: wire.get(f"{path}?metadata[plan]=pro").status_code for path in lists} == dict.fromkeys(lists, 200)


def test_a_customer_is_found_by_any_external_id_that_he_can_have(wire):
    for place, external_id in enumerate(["a/b", "a b", "a?b=c#d", "50%", "ends\nhere\n", "é"]):
        body = {"email": f"odd{place}@example.com", "external_id": external_id}
        assert wire.post("customers/", body).status_code == 201
        found = wire.get(f"customers/external/{quote(external_id, safe='')}/state").json()
        assert found["external_id"] == external_id


def test_a_checkout_is_changed_by_the_merchant_and_by_the_buyer(wire, sold):
    path, client = f"checkouts/{sold['checkouts']}", f"{SECRETS}{sold['secret']}"
    changed = wire.send("PATCH", path, {"metadata": {"campaign": "spring"}, "success_url": "https://shop.example/ok"})
    assert (changed.json()["metadata"], changed.json()["success_url"]) == (
        {"campaign": "spring"},
        "https://shop.example/ok",
    )
    nobody = Wire()
    shown = nobody.send("PATCH", client, {"customer_name": "Ada", "customer_billing_address": {"country": "GB"}}).json()
    assert (shown["customer_name"], shown["customer_billing_address"]["country"]) == ("Ada", "GB")
    assert "metadata" not in shown and "metadata" not in shown["product"]
    assert places(nobody.send("PATCH", client, {"customer_email": "nobody"})) == [["body", "customer_email"]]
    assert places(nobody.send("PATCH", client, {"customer_billing_address": {"country": "XX"}})) == [
        ["body", "customer_billing_address", "country"]
    ]
    assert places(wire.send("PATCH", path, {"success_url": "javascript:alert(1)"})) == [["body", "success_url"]]
    refused(nobody.get(f"{SECRETS}unknown"), 404, "ResourceNotFound", "Not found")
    refused(Wire(prefix="/sandbox/v1/").get(client), 404, "ResourceNotFound")  # a live checkout


def test_a_checkout_that_was_left_reads_as_expired_before_any_job_has_run(wire, sold):
    Checkout.objects.update(expires_at=timezone.now())
    client = f"{SECRETS}{sold['secret']}"
    assert [wire.get(path).json()["status"] for path in (f"checkouts/{sold['checkouts']}", client)] == ["expired"] * 2
    counts = {status: len(wire.get(f"checkouts/?status={status}").json()["items"]) for status in ("open", "expired")}
    assert counts == {"open": 0, "expired": 1}
    refused(wire.post(f"{client}/confirm", {}), 410, "ExpiredCheckoutError")
    assert Checkout.objects.get().status == "open"


def test_benefits_are_changed_and_deleted(wire, sold):
    path = f"benefits/{sold['benefits']}"
    properties = {"units": 20, "rollover": True, "meter_id": sold["meters"]}
    changed = wire.send("PATCH", path, {"description": "Twenty", "properties": properties}).json()
    assert (changed["description"], changed["properties"]) == ("Twenty", properties)
    assert places(wire.send("PATCH", path, {"properties": {"units": 0, "rollover": True}})) in (
        [["body", "properties", "units"]],
        [["body", "properties", "meter_id"]],
    )
    assert wire.send("DELETE", path).status_code == 204
    assert wire.get(f"products/{sold['products']}").json()["benefits"] == []
    assert all(each["is_revoked"] for each in wire.get("benefit-grants/").json()["items"])


def test_orders_are_refunded(wire, sold):
    pack = made(wire, "products/", {"name": "Pack", "prices": [{"amount_type": "fixed", "price_amount": 500}]})
    checkout = made(wire, "checkouts/", {"products": [pack["id"]], "customer_id": sold["customers"]})
    wire.post(f"{SECRETS}{checkout['client_secret']}/confirm", {"confirmation_token_id": "ctoken_test_success"})
    [order] = wire.get(f"orders/?product_id={pack['id']}").json()["items"]
    assert (order["refundable_amount"], order["status"]) == (500, "paid")
    wish = {"order_id": order["id"], "reason": "duplicate", "amount": 200, "metadata": {"ticket": 7}}
    refund = made(wire, "refunds/", wish)
    assert (refund["status"], refund["amount"], refund["metadata"]) == ("succeeded", 200, {"ticket": 7})
    order = wire.get(f"orders/{order['id']}").json()
    assert (order["status"], order["refunded_amount"], order["refundable_amount"]) == ("partially_refunded", 200, 300)
    assert places(wire.post("refunds/", {**wish, "amount": 301})) == [["body", "amount"]]
    assert places(wire.post("refunds/", {**wish, "reason": "whim"})) == [["body", "reason"]]
    stranger = Wire(make_key(make_customer())[1])
    assert places(stranger.post("refunds/", wish)) == [["body", "order_id"]]
    made(wire, "refunds/", {**wish, "amount": 300})
    refused(wire.post("refunds/", wish), 403, "RefundedAlready")
    for query, found in (("", 2), (f"order_id={order['id']}", 2), ("external_customer_id=ada&succeeded=true", 2)):
        assert len(wire.get(f"refunds/?{query}").json()["items"]) == found
    assert wire.get(f"refunds/?customer_id={order['id']}").json()["items"] == []


def test_names_of_events_are_types_that_the_merchant_labels(wire, sold):
    [found] = wire.get("event-types/?query=llm").json()["items"]
    assert (found["name"], found["label"], found["occurrences"]) == ("llm-usage", "llm-usage", 1)
    path = f"event-types/{found['id']}"
    labelled = wire.send("PATCH", path, {"label": "Tokens", "label_property_selector": "metadata.call.model"}).json()
    assert (labelled["id"], labelled["label"], labelled["name"]) == (found["id"], "Tokens", "llm-usage")
    labelled = wire.send("PATCH", path, {"label": "Tokens used"}).json()
    assert (labelled["label"], labelled["label_property_selector"]) == ("Tokens used", "metadata.call.model")
    wire.send("PATCH", path, {"label": "Tokens used", "label_property_selector": "model"})
    wire.post(
        "events/ingest",
        {"events": [{"name": "llm-usage", "external_customer_id": "ada", "metadata": {"model": "m-large"}}]},
    )
    listed = wire.get("events/?source=user&sorting=timestamp").json()["items"]
    assert [(each["name"], each["label"]) for each in listed] == [
        ("llm-usage", "Tokens used"),
        ("llm-usage", "m-large"),
    ]
    wire.post("events/ingest", {"events": [{"name": "other", "external_customer_id": "ada"}]})
    for path_of_list in ("events/names", "event-types/"):
        names = wire.get(f"{path_of_list}?sorting=-label").json()["items"]
        assert [each["label"] for each in names] == ["other", "Tokens used"]
    assert places(wire.send("PATCH", path, {"label": ""})) == [["body", "label"]]
    refused(wire.send("PATCH", f"event-types/{sold['meters']}", {"label": "x"}), 404, "ResourceNotFound")


def test_use_that_is_reported_natively_and_taken_back_changes_the_state_that_is_told(wire, merchant, sold):
    Subscription.objects.begin(organization=merchant, tier=Tier.objects.create(slug="any", name="Any"), at=NOON)
    forget_terms()
    native = Wire(wire.secret, prefix="/api/v1/")

    def told_after(path, body):
        StateNotice.objects.all().delete()
        answer = native.post(path, body)
        assert answer.status_code in (200, 201, 207), answer.content
        return answer.json(), list(StateNotice.objects.values_list("customer__external_id", flat=True))

    event, told = told_after("metering/track", {"name": "llm-usage", "external_customer_id": "ada"})
    assert told == ["ada"]
    assert told_after("metering/track", {"name": "llm-usage"})[1] == []
    mixed = [{"name": "n"}, {"name": "n", "customer_id": sold["customers"]}, {"name": "n", "quantity": "-1"}]
    assert told_after("metering/track/batch", {"events": mixed})[1] == ["ada"]
    assert told_after("metering/track", {"name": "n", "external_customer_id": "nobody"})[1] == []
    correction = {"reason": "less", "event": {"name": "llm-usage"}}
    corrected, told = told_after(f"metering/events/{event['event_id']}/correct", correction)
    assert told == ["ada"]
    assert told_after(f"metering/events/{corrected['event']['id']}/void", {"reason": "never was"})[1] == ["ada"]


def test_the_sign_of_balances_is_the_merchants_choice(wire, sold):
    assert wire.get("merchant-settings").json() == {"balance_convention": "credited_minus_consumed"}
    assert wire.get(f"customer-meters/{sold['customer-meters']}").json()["balance"] == 10
    wire.send("PATCH", "merchant-settings", {"balance_convention": "consumed_minus_credited"})
    assert wire.get(f"customer-meters/{sold['customer-meters']}").json()["balance"] == -10
    assert wire.get("customers/external/ada/state").json()["active_meters"][0]["balance"] == -10
    assert places(wire.send("PATCH", "merchant-settings", {"balance_convention": "other"})) == [
        ["body", "balance_convention"]
    ]


ODD_PRICES = [
    ({"amount_type": "fixed"}, "price_amount"),
    ({"amount_type": "fixed", "price_amount": -1}, "price_amount"),
    ({"amount_type": "fixed", "price_amount": 1, "price_currency": "eur"}, "price_currency"),
    ({"amount_type": "metered_unit", "unit_amount": "1"}, "meter_id"),
    ({"amount_type": "metered_unit", "unit_amount": "0"}, "unit_amount"),
    ({"amount_type": "metered_unit", "unit_amount": True}, "unit_amount"),
    ({"amount_type": "metered_unit", "unit_amount": "NaN"}, "unit_amount"),
    ({"amount_type": "metered_unit", "unit_amount": "1e999999999"}, "unit_amount"),
    ({"amount_type": "metered_unit", "unit_amount": "1e-999999999"}, "unit_amount"),
    ({"amount_type": "metered_unit", "unit_amount": "0.0000000000001"}, "unit_amount"),
    *(({"amount_type": "metered_unit", "unit_amount": odd}, "unit_amount") for odd in ODD_NUMBERS),
    ({"amount_type": "metered_unit", "unit_amount": "123456.123456789012"}, "unit_amount"),
    ({}, "amount_type"),
]


def test_prices_that_do_not_fit_are_refused_at_their_place(wire, sold):
    for price, place in ODD_PRICES:
        meter = {} if place == "meter_id" else {"meter_id": sold["meters"]}
        body = {"name": "Other", "recurring_interval": "month", "prices": [{**price, **meter}]}
        assert places(wire.post("products/", body)) == [["body", "prices", 0, place]], price
    stranger = "0191f6f0-0000-7000-8000-000000000000"
    body["prices"] = [{"amount_type": "metered_unit", "unit_amount": 1, "meter_id": stranger}]
    assert places(wire.post("products/", body)) == [["body", "prices", 0, "meter_id"]]


def test_a_number_is_text_in_any_form_that_clients_write(wire, sold):
    for given, shown in (("1.50", "1.5"), ("1.25e-10", "0.000000000125"), (".5", "0.5"), ("7.", "7"), (0.25, "0.25")):
        price = {"amount_type": "metered_unit", "unit_amount": given, "meter_id": sold["meters"]}
        product = made(wire, "products/", {"name": "Other", "recurring_interval": "month", "prices": [price]})
        assert product["prices"][0]["unit_amount"] == shown
    for name in ("page", "limit"):
        for odd in ("1_0", "%D9%A1", "%201", "+1", ""):
            assert places(wire.get(f"products/?{name}={odd}")) == [["query", name]], odd
    for odd in ("{0191f6f0-0000-7000-8000-000000000000}", "0191f6f0_0000_7000_8000_0000000000000", "\u0661" * 32):
        assert places(wire.get(f"products/{odd}")) == [["path", "id"]]


def test_a_checkouts_secret_stands_in_its_row_alone_and_is_in_an_answer_that_is_given_again(wire, sold):
    headers = {"authorization": f"Bearer {wire.secret}", "Idempotency-Key": "k"}
    body = {"products": [sold["products"]]}
    first, again = (wire.send("POST", "checkouts/", body, headers=headers) for _ in range(2))
    assert (first.status_code, first.content) == (201, again.content) and again["Idempotent-Replayed"] == "true"
    assert Checkout.objects.filter(client_secret=first.json()["client_secret"]).count() == 1
    kept = bytes(IdempotencyRecord.objects.get().body)
    assert first.json()["client_secret"].encode() not in kept and b"<client_secret>" in kept
