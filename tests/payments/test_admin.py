"""What operators do with payments, page by page."""

import pytest

from outbox.models import DomainEvent
from payments import services
from payments.models import IncomingEvent
from payments.services import receive_event
from payments.webhooks.sandbox import message_of
from tests.builders import NOON, make_organization, make_user, sign_in
from tests.payments.building import ask_for, balance_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss():
    return make_user(is_staff=True, is_superuser=True, email="boss@example.com")


@pytest.fixture
def browser(boss):
    return sign_in(boss)


def act(browser, payment, what, **fields):
    return browser.post(f"/admin/payments/payment/{payment.pk}/{what}/", {"confirm": "1", **fields})


def test_a_transfer_is_marked_as_paid_with_a_reason(browser):
    organization = make_organization()
    payment = ask_for(organization)
    assert act(browser, payment, "mark-paid", reason="").status_code == 200
    assert balance_of(organization) == 0
    assert act(browser, payment, "mark-paid", reason="transfer 17").status_code == 302
    assert balance_of(organization) == 10
    event = DomainEvent.objects.get(type="payment.succeeded")
    assert (event.actor_label, event.data["reason"]) == ("boss@example.com", "transfer 17")


def test_a_payment_is_refunded_and_a_second_time_is_told(browser):
    organization = make_organization()
    payment = ask_for(organization)
    refused = act(browser, payment, "refund", reason="x")
    assert b"The payment is open" in refused.content
    services.mark_paid(payment_id=payment.pk, actor="ada", reason="t", at=NOON)
    assert b"more than was paid" in act(browser, payment, "refund", reason="x", amount="11").content
    act(browser, payment, "refund", reason="they asked", amount="4")
    payment.refresh_from_db()
    assert (payment.status, payment.refunded, balance_of(organization)) == ("refunded", 4, 6)


def test_a_payment_is_canceled(browser):
    payment = ask_for(make_organization())
    act(browser, payment, "cancel", reason="a mistake")
    payment.refresh_from_db()
    assert (payment.status, payment.failure_message) == ("canceled", "a mistake")


def test_the_page_offers_what_can_be_done(browser):
    payment = ask_for(make_organization())
    address = f"/admin/payments/payment/{payment.pk}/change/"
    html = browser.get(address).content.decode()
    refund = f"{payment.pk}/refund/"
    assert "mark-paid" in html and refund not in html
    services.mark_paid(payment_id=payment.pk, actor="ada", reason="t", at=NOON)
    html = browser.get(address).content.decode()
    assert "mark-paid" not in html and refund in html


def test_an_event_is_replayed(browser, settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    organization = make_organization()
    payment = ask_for(organization)
    event, _ = receive_event(message_of("payment.tried", payment.id, "test_card_ok"), at=NOON)
    for _ in range(2):
        answer = browser.post(f"/admin/payments/incomingevent/{event.pk}/replay/", {"reason": "Try again"}, follow=True)
        assert b"Carried out again: done" in answer.content
    assert (balance_of(organization), IncomingEvent.objects.get().outcome) == (10, "done")
    assert DomainEvent.objects.filter(type="payment_event.replayed", actor_label="boss@example.com").count() == 2
