"""The hosted checkout page: pays, is declined, and leads nowhere but where the merchant said."""

import pytest
from django.test import Client

from billing import services
from billing.errors import CustomerPaymentDeclined, InvalidValue
from billing.models import Customer, Order
from tests.billing.selling import ACTOR, DECLINES, PAYS, fixed, make_buyer, make_product, orders_of, subscribe
from tests.builders import make_customer, make_organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    from django.utils import timezone

    return timezone.now()


def offer(merchant, products, now, **fields):
    return services.open_checkout(
        organization_id=merchant.id, product_ids=[each.id for each in products], actor=ACTOR, at=now, **fields
    )


def test_a_buyer_is_declined_pays_with_another_card_and_is_led_back(now):
    merchant = make_organization(name="Northwind")
    pro, small = make_product(merchant, fixed(1000)), make_product(merchant, fixed(200), name="Small")
    checkout = offer(
        merchant, [pro, small], now, success_url="https://shop.example/done?id={CHECKOUT_ID}", external_customer_id="u1"
    )
    client, path = Client(enforce_csrf_checks=False), f"/checkout/{checkout.client_secret}"
    page = client.get(path)
    assert page.status_code == 200
    text = page.content.decode()
    assert "Northwind" in text and "$10.00 a month" in text and "$2.00 a month" in text
    assert "form-action 'self' https://checkout.stripe.com https://shop.example" in page["Content-Security-Policy"] or (
        "https://shop.example" in page["Content-Security-Policy"]
    )
    form = {"product": str(small.id), "email": "new@example.com", "name": "New"}
    refused = client.post(path, {**form, "token": DECLINES})
    assert (refused.status_code, "The test card was declined." in refused.content.decode()) == (200, True)
    assert not Customer.objects.exists()
    paid = client.post(path, {**form, "token": PAYS})
    assert (paid.status_code, paid["Location"]) == (303, f"https://shop.example/done?id={checkout.id}")
    customer = Customer.objects.get()
    assert (customer.email, customer.external_id) == ("new@example.com", "u1")
    assert orders_of(customer) == [("subscription_create", "paid", 200)]
    assert "Thank you" in client.get(path).content.decode()
    assert "no longer" in client.post(path, {**form, "token": PAYS}).content.decode() or orders_of(customer)[1:] == []


def test_only_web_addresses_are_led_to(now):
    merchant = make_organization()
    product = make_product(merchant)
    for address in (
        "javascript:alert(1)",
        "//evil.example",
        "data:text/html,x",
        "ftp://x.example",
        "https://x;img-src *",
    ):
        with pytest.raises(InvalidValue):
            offer(merchant, [product], now, success_url=address)
    assert Client().get("/checkout/unknown").status_code == 404


def test_a_free_product_asks_for_no_card_and_a_customer_keeps_his_address(now):
    merchant = make_organization()
    ada = make_buyer(merchant)
    checkout = offer(merchant, [make_product(merchant, services.PriceTerms())], now, customer_id=ada.id)
    path = f"/checkout/{checkout.client_secret}"
    done = Client().post(path, {"email": "somebody@else.example", "name": ""})
    assert (done.status_code, done["Location"]) == (303, path)
    assert orders_of(ada) == [("subscription_create", "paid", 0)]
    assert Customer.objects.count() == 1


def test_where_a_real_provider_collects_no_test_card_is_taken(now, settings):
    settings.PAYMENT_PROVIDER = "stripe"
    merchant = make_organization()
    checkout = offer(merchant, [make_product(merchant)], now, customer_email="a@example.com")
    path = f"/checkout/{checkout.client_secret}"
    assert "Test card" not in Client().get(path).content.decode()
    answer = Client().post(path, {"email": "a@example.com", "token": PAYS})
    assert "A confirmation token is needed" in answer.content.decode()
    checkout.refresh_from_db()
    assert checkout.status == "open"


def test_where_nobody_collects_live_customers_pay_with_no_test_token_and_have_what_is_free(now, settings):
    settings.CUSTOMER_TEST_PAYMENTS = False
    merchant = make_organization()
    plan, free = make_product(merchant), make_product(merchant, services.PriceTerms())
    checkout = offer(merchant, [plan], now, customer_email="a@example.com")
    path = f"/checkout/{checkout.client_secret}"
    page = Client().get(path).content.decode()
    assert "cannot take payments yet" in page and "Test card" not in page
    with pytest.raises(CustomerPaymentDeclined) as refusal:
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=now)
    assert refusal.value.facts["failure_code"] == "no_payment_provider"
    assert not Order.objects.exists() and not Customer.objects.exists()
    checkout = offer(merchant, [free], now, customer_email="a@example.com")
    services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=now)
    customer = Customer.objects.get()
    assert (customer.payment_method, orders_of(customer)) == ("", [("subscription_create", "paid", 0)])
    twin = make_customer().test_twin
    checkout = offer(twin, [make_product(twin)], now, customer_email="a@example.com")
    services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=now)
    # one that was subscribed while test cards were taken is not renewed for nothing
    settings.CUSTOMER_TEST_PAYMENTS = True
    ada = make_buyer(merchant)
    subscription = subscribe(ada, plan)
    settings.CUSTOMER_TEST_PAYMENTS = False
    services.renew_due(at=subscription.current_period_end)
    subscription.refresh_from_db()
    assert (subscription.status, orders_of(ada)[-1]) == ("past_due", ("subscription_cycle", "pending", 1000))
