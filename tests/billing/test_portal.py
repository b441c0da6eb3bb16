"""What a customer sees of his own, and for how long."""

import pytest
from django.test import Client
from django.utils import timezone

from billing import services, sessions
from billing.models import CustomerSession
from tests.billing.selling import ACTOR, buy, fixed, make_benefit, make_buyer, make_meter, make_product, subscribe, use
from tests.billing_api.wire import Wire, places
from tests.builders import make_customer, make_key

pytestmark = pytest.mark.django_db


def test_a_customer_sees_what_he_has_and_ends_or_keeps_it_for_an_hour():
    merchant, now = make_customer(name="Northwind"), timezone.now()
    meter = make_meter(merchant)
    plan = make_product(merchant, fixed(1000), name="Pro plan", benefits=[make_benefit(merchant, meter, 1000)])
    ada, bob = make_buyer(merchant, "ada", name="Ada"), make_buyer(merchant)
    subscription = subscribe(ada, plan, at=now)
    others = subscribe(bob, plan, at=now)
    use(ada, 1250, at=now)
    wire = Wire(make_key(merchant)[1])
    made = wire.post("customer-sessions/", {"external_customer_id": "ada", "return_url": "https://shop.example/me"})
    assert made.status_code == 201, made.content
    session = made.json()
    assert (session["customer"]["name"], session["return_url"]) == ("Ada", "https://shop.example/me")
    path = session["customer_portal_url"].partition("/portal/")[2]
    browser, path = Client(), f"/portal/{path}"
    page = browser.get(path).content.decode()
    for words in ("Northwind", "Pro plan", "$10.00", "1,250", "-250", "https://shop.example/me", ada.email, "Cancel"):
        assert words in page, words
    assert bob.email not in page
    change = {"subscription": str(subscription.id), "do": "cancel"}
    assert "It ends with its period." in browser.post(path, change, follow=True).content.decode()
    subscription.refresh_from_db()
    assert subscription.cancel_at_period_end
    assert "already canceled" in browser.post(path, change, follow=True).content.decode()
    assert "It goes on." in browser.post(path, {**change, "do": "keep"}, follow=True).content.decode()
    for wrong in ({**change, "subscription": str(others.id)}, {**change, "do": "revoke"}, {}):
        assert browser.post(path, wrong).status_code == 404
    checkout = buy(ada, plan, at=now)
    for token in ("fbx_cs_nonsense", sessions.receipt_of(checkout.id), path[:-1]):
        assert browser.get(f"/portal/{token_of(token)}").status_code == 404
    assert token_of(path) not in str(list(CustomerSession.objects.values()))
    CustomerSession.objects.update(ends_at=timezone.now())
    assert browser.get(path).status_code == 404
    assert (services.forget_sessions(at=timezone.now()), CustomerSession.objects.count()) == (1, 0)
    services.delete_customer(organization_id=merchant.id, customer_id=bob.id, actor=ACTOR, at=timezone.now())
    path = f"/portal/{services.begin_session(customer=bob, at=timezone.now())[1]}"
    assert browser.get(path).status_code == 404


def test_a_session_is_ended_by_its_merchant_and_by_nobody_else(db):
    wire, stranger = (Wire(make_key(make_customer())[1]) for _ in range(2))
    ada = wire.post("customers/", {"email": "a@example.com"}).json()["id"]
    first, second, third = (wire.post("customer-sessions/", {"customer_id": ada}).json() for _ in range(3))

    def opens(session):
        return Client().get(f"/portal/{session['token']}").status_code == 200

    for path in (f"customer-sessions/{first['id']}", f"customers/{ada}/sessions"):
        assert stranger.send("DELETE", path).status_code == 404
    assert [wire.send("DELETE", f"customer-sessions/{first['id']}").status_code for _ in range(2)] == [204, 404]
    assert [opens(each) for each in (first, second, third)] == [False, True, True]
    assert wire.send("DELETE", f"customers/{ada}/sessions").status_code == 204
    assert not opens(second) and not opens(third)


def token_of(path):
    return path.rpartition("/")[2]


def test_a_session_names_one_customer_of_the_merchants_and_a_web_address(db):
    wire = Wire(make_key(make_customer())[1])
    ada = make_buyer(make_customer(), "ada")
    for body, place in (
        ({}, []),
        ({"customer_id": str(ada.id), "external_customer_id": "ada"}, []),
        ({"customer_id": str(ada.id)}, ["customer_id"]),
        ({"external_customer_id": "ada"}, ["external_customer_id"]),
    ):
        assert places(wire.post("customer-sessions/", body)) == [["body", *place]]
    wire.post("customers/", {"email": "a@example.com", "external_id": "ada"})
    bad = {"external_customer_id": "ada", "return_url": "javascript:alert(1)"}
    assert places(wire.post("customer-sessions/", bad)) == [["body", "return_url"]]
