"""The pages: buying credit on the test checkout, coming back, saved cards, automatic top-ups."""

import re
from urllib.parse import urlsplit

import pytest

from accounts.principal import Actor
from accounts.services import add_member
from payments.models import AutoTopUp, IncomingEvent, Payment, PaymentMethod
from tests.builders import NOON, make_customer, make_user, sign_in
from tests.payments.building import ask_for, balance_of, with_card

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    return make_customer(owner=make_user())


@pytest.fixture
def browser(customer):
    return sign_in(customer.memberships.get().user, customer)


def path_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def start(browser, amount="25"):
    """The address of the test checkout for some credit."""
    page = browser.get("/payments/buy/")
    key = re.search(r'name="key" value="([^"]+)"', page.content.decode()).group(1)
    answer = browser.post("/payments/buy/", {"credits": amount, "key": key})
    assert answer.status_code == 302, answer.content.decode()
    return path_of(answer["Location"]), key


def test_credit_is_bought_on_the_test_checkout(customer, browser):
    checkout, _ = start(browser)
    assert b"No real money" in browser.get(checkout).content
    answer = browser.post(checkout, {"card": "test_card_ok", "do": "pay"})
    back = path_of(answer["Location"])
    payment = Payment.objects.get()
    assert back == f"/payments/{payment.id}/?returned=1"
    assert (payment.status, payment.amount, payment.method.label) == ("succeeded", 25, "Test card ending in 4242")
    assert balance_of(customer) == 25
    assert b"of credit is yours" in browser.get(back).content
    assert [event.outcome for event in IncomingEvent.objects.all()] == ["done"]


def test_the_form_sent_twice_is_one_purchase(customer, browser):
    _, key = start(browser)
    again = browser.post("/payments/buy/", {"credits": "25", "key": key})
    assert again.status_code == 302
    assert Payment.objects.count() == 1
    other = browser.post("/payments/buy/", {"credits": "26", "key": key})
    assert other.status_code == 200
    assert b"already used" in other.content


def test_a_declined_card_leaves_the_checkout_open_for_another(customer, browser):
    checkout, _ = start(browser)
    for terms in ({"card": "test_card_no", "do": "pay"}, {"card": "test_card_ok", "do": "decline"}):
        page = browser.post(checkout, terms)
        assert b"The test card was declined." in page.content
    assert (Payment.objects.get().status, balance_of(customer), PaymentMethod.objects.count()) == ("open", 0, 0)
    browser.post(checkout, {"card": "test_card_later", "do": "pay"})
    assert (Payment.objects.get().status, balance_of(customer)) == ("succeeded", 25)


def test_leaving_the_checkout_cancels_the_purchase(customer, browser):
    checkout, _ = start(browser)
    answer = browser.post(checkout, {"do": "leave"})
    payment = Payment.objects.get()
    assert (payment.status, payment.failure_code) == ("canceled", "abandoned")
    assert path_of(answer["Location"]) == f"/payments/{payment.id}/"
    page = browser.post(checkout, {"card": "test_card_ok", "do": "pay"})
    assert page.status_code == 200
    assert balance_of(customer) == 0


def test_paying_twice_on_an_old_page_moves_nothing(customer, browser):
    checkout, _ = start(browser)
    for _ in range(2):
        browser.post(checkout, {"card": "test_card_ok", "do": "pay"})
    assert balance_of(customer) == 25


def test_test_cards_are_worth_nothing_once_a_real_provider_collects(customer, browser, settings):
    checkout, _ = start(browser)
    saving = path_of(browser.post("/payments/methods/new/")["Location"])
    settings.PAYMENT_PROVIDER = "stripe"
    for page in (checkout, saving):
        assert browser.get(page).status_code == 404
        assert browser.post(page, {"card": "test_card_ok", "do": "pay"}).status_code == 404
    assert (balance_of(customer), PaymentMethod.objects.count()) == (0, 0)


def test_an_address_that_was_made_up_leads_nowhere(browser):
    assert browser.get("/checkout/test/made-up/").status_code == 404


@pytest.mark.parametrize("amount", ["0.99", "0", "-5", "100000.01", "1.234", "NaN", "1e3x", ""])
def test_an_amount_that_cannot_be_bought_is_told_and_nothing_is_asked(browser, amount):
    key = "k"
    page = browser.post("/payments/buy/", {"credits": amount, "key": key})
    assert page.status_code == 200
    assert b'aria-invalid="true"' in page.content
    assert not Payment.objects.exists()


def test_a_purchase_can_be_canceled_and_what_is_owed_cannot(customer, browser):
    start(browser)
    bought = Payment.objects.get()
    browser.post(f"/payments/{bought.id}/cancel/")
    bought.refresh_from_db()
    assert bought.status == "canceled"
    owed = ask_for(customer, purpose="overage", credits="0")
    assert browser.post(f"/payments/{owed.id}/cancel/").status_code == 404
    owed.refresh_from_db()
    assert owed.status == "open"


def test_what_is_owed_is_paid_on_the_same_page(customer, browser):
    owed = ask_for(customer, "7.50", purpose="overage", credits="0", subject={"description": "Overage of May"})
    assert b"Overage of May" in browser.get("/payments/").content
    answer = browser.post(f"/payments/{owed.id}/pay/")
    browser.post(path_of(answer["Location"]), {"card": "test_card_ok", "do": "pay"})
    owed.refresh_from_db()
    assert owed.status == "succeeded"


def test_a_card_is_saved_chosen_and_removed(customer, browser):
    first = with_card(customer)
    address = browser.post("/payments/methods/new/")["Location"]
    browser.post(path_of(address), {"card": "test_card_later", "do": "save"})
    second = PaymentMethod.objects.get(reference="test_card_later")
    assert second.is_default
    browser.post(f"/payments/methods/{first.id}/", {"do": "choose"})
    first.refresh_from_db()
    assert first.is_default
    browser.post(f"/payments/methods/{first.id}/", {"do": "remove"})
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.removed_at is not None, first.is_default, second.is_default) == (True, False, True)


def test_a_rule_for_top_ups_is_set_refused_and_removed(customer, browser):
    terms = {"threshold": "5", "amount": "20", "monthly_cap": "50", "is_enabled": "on"}
    refused = browser.post("/payments/top-up/", terms)
    assert (refused.status_code, AutoTopUp.objects.count()) == (422, 0)
    assert b"Save a payment method first." in refused.content
    with_card(customer)
    assert browser.post("/payments/top-up/", {**terms, "monthly_cap": "19"}).status_code == 422
    browser.post("/payments/top-up/", terms)
    rule = AutoTopUp.objects.get()
    assert (rule.threshold, rule.amount, rule.monthly_cap, rule.is_enabled) == (5, 20, 50, True)
    assert b"of $50.00" in re.sub(rb"<[^>]+>", b"", browser.get("/payments/").content)
    browser.post("/payments/top-up/", {"do": "remove"})
    assert not AutoTopUp.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("billing", 200), ("admin", 200), ("member", 403), ("viewer", 403)])
def test_only_who_may_pay_buys(customer, role, status):
    person = make_user()
    add_member(organization_id=customer.id, user=person, role=role, actor=Actor("test"), at=NOON)
    client = sign_in(person, customer)
    assert client.get("/payments/buy/").status_code == status
    assert client.get("/payments/").status_code == 200
    assert (b"Buy credit" in client.get("/payments/").content) == (status == 200)


def test_without_a_provider_the_page_says_how_to_pay(settings):
    settings.PAYMENT_PROVIDER = "manual"
    customer = make_customer(owner=make_user())
    browser = sign_in(customer.memberships.get().user, customer)
    where, _ = start(browser, "10")
    payment = Payment.objects.get()
    assert where == f"/payments/{payment.id}/"
    page = browser.get(where).content.decode()
    assert "bank transfer" in page
    assert str(payment.id) in page


def test_the_policy_lets_forms_lead_to_the_provider_and_nowhere_else(browser):
    policy = browser.get("/payments/buy/")["Content-Security-Policy"]
    assert "form-action 'self' https://checkout.stripe.com" in policy
    assert "script-src 'self'" in [part.strip() for part in policy.split(";")]
