"""The API of payments."""

import pytest

from payments.models import Payment
from tests.api.caller import Caller
from tests.builders import make_customer
from tests.payments.building import ask_for, balance_of, with_card

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    return make_customer()


@pytest.fixture
def caller(customer):
    return Caller(customer)


def test_credit_is_bought_through_a_checkout(caller, customer):
    status, answer = caller.ask("POST", "payments/checkout", {"credits": "12.50"})
    assert (status, answer["payment"]["status"], answer["payment"]["amount"]) == (201, "open", "12.5")
    assert answer["checkout_url"] == answer["payment"]["checkout_url"]
    page = answer["checkout_url"].partition("/checkout/")[2]
    caller.client.post(f"/checkout/{page}", {"do": "pay", "card": "test_card_ok"})
    status, payment = caller.ask("GET", f"payments/{answer['payment']['id']}")
    assert (payment["status"], payment["credits"], payment["description"]) == ("succeeded", "12.5", "$12.50 of credit")
    assert balance_of(customer) == 12.5
    assert [each["id"] for each in caller.ask("GET", "payments?status=succeeded")[1]["data"]] == [payment["id"]]
    assert caller.ask("GET", "payments?status=open")[1]["data"] == []
    [method] = caller.ask("GET", "payments/methods")[1]["data"]
    assert (method["name"], method["is_default"]) == ("Test card ending in 4242", True)
    assert caller.ask("DELETE", f"payments/methods/{method['id']}")[0] == 204
    assert caller.ask("GET", "payments/methods")[1]["data"] == []


def test_the_same_idempotency_key_or_key_is_one_purchase(caller):
    for _ in range(2):
        caller.ask("POST", "payments/checkout", {"credits": "10"}, Idempotency_Key="a")
        caller.ask("POST", "payments/checkout", {"credits": "10", "key": "order 7"})
    assert Payment.objects.count() == 2
    status, problem = caller.ask("POST", "payments/checkout", {"credits": "11", "key": "order 7"})
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("credits", "code"),
    [
        ("0.99", "invalid_payment_amount"),
        ("1.001", "invalid_payment_amount"),
        ("100000.01", "invalid_payment_amount"),
        ("-5", "invalid_request"),
        ("0.0000000000001", "invalid_request"),
        ("NaN", "invalid_request"),
    ],
)
def test_an_amount_that_cannot_be_bought_is_refused(caller, credits, code):
    status, problem = caller.ask("POST", "payments/checkout", {"credits": credits})
    assert (status, problem["code"], Payment.objects.count()) == (400, code, 0)


def test_an_open_payment_is_canceled_paid_or_marked_as_paid(caller, customer):
    first, second, third = (ask_for(customer) for _ in range(3))
    assert caller.ask("POST", f"payments/{first.pk}/cancel")[1]["status"] == "canceled"
    assert caller.ask("POST", f"payments/{second.pk}/mark-paid", {"reason": "cash"})[1]["status"] == "succeeded"
    status, problem = caller.ask("POST", f"payments/{second.pk}/cancel")
    assert (status, problem["code"], problem["payment_status"]) == (409, "payment_not_open", "succeeded")
    assert "/checkout/test/" in caller.ask("POST", f"payments/{third.pk}/checkout")[1]["checkout_url"]
    assert balance_of(customer) == 10


@pytest.mark.parametrize("purpose", ["subscription", "overage", "switch"])
def test_giving_up_what_is_owed_is_for_operators_keys(customer, purpose):
    payment = ask_for(customer, purpose=purpose)
    caller = Caller(customer, scopes=("credits:read", "credits:write"))
    status, problem = caller.ask("POST", f"payments/{payment.pk}/cancel")
    payment.refresh_from_db()
    assert (status, problem["code"], payment.status) == (409, "payment_not_open", "open")


def test_marking_as_paid_is_for_operators_keys(customer):
    payment = ask_for(customer)
    caller = Caller(customer, scopes=("credits:read", "credits:write"))
    assert caller.ask("POST", f"payments/{payment.pk}/mark-paid", {"reason": "cash"})[0] == 403
    assert balance_of(customer) == 0


def test_a_strangers_payment_and_card_are_not_there(caller):
    other = make_customer()
    payment, card = ask_for(other), with_card(other)
    for method, path in (
        ("GET", f"payments/{payment.pk}"),
        ("POST", f"payments/{payment.pk}/cancel"),
        ("POST", f"payments/{payment.pk}/checkout"),
        ("DELETE", f"payments/methods/{card.pk}"),
    ):
        assert caller.ask(method, path)[0] == 404


def test_the_rule_for_top_ups(caller, customer):
    terms = {"threshold": "5", "amount": "20", "monthly_cap": "60"}
    assert caller.ask("GET", "payments/auto-top-up")[1]["code"] == "no_auto_top_up"
    assert caller.ask("PUT", "payments/auto-top-up", terms)[1]["code"] == "no_payment_method"
    with_card(customer)
    status, rule = caller.ask("PUT", "payments/auto-top-up", terms)
    assert (status, rule["threshold"], rule["monthly_cap"], rule["is_enabled"]) == (200, "5", "60", True)
    assert caller.ask("GET", "payments/auto-top-up")[1] == rule
    assert caller.ask("PUT", "payments/auto-top-up", {**terms, "amount": "61"})[0] == 400
    assert caller.ask("DELETE", "payments/auto-top-up")[0] == 204
    assert caller.ask("DELETE", "payments/auto-top-up")[0] == 404


def test_a_test_key_pays_with_test_cards_whatever_the_provider(settings):
    settings.PAYMENT_PROVIDER = "stripe"
    twin = make_customer().test_twin
    status, answer = Caller(twin).ask("POST", "payments/checkout", {"credits": "10"})
    assert (status, answer["payment"]["provider"]) == (201, "sandbox")
