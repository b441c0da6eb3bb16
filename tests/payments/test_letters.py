"""Letters about payments: a receipt, one word of a decline, and of the end."""

from datetime import timedelta

import pytest
from django.utils import timezone

from outbox.models import EmailDelivery
from outbox.services import dispatch_events
from payments import services
from payments.models import Payment
from tests.builders import make_customer, make_user, usd
from tests.payments.building import ask_for, with_card

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    return make_customer(name="Harbour", owner=make_user(email="ada@example.com", name="Ada"))


def letters():
    dispatch_events(at=timezone.now(), limit=1000)
    return [(mail.recipient, mail.subject) for mail in EmailDelivery.objects.order_by("created_at", "subject")]


def renewal(organization, now, **fields):
    fields = {"purpose": "overage", "collection": "automatic", "credits": "0", "at": now, **fields}
    return ask_for(organization, "30", **fields)


def test_a_receipt_says_what_was_paid_and_comes_once(customer):
    now = timezone.now()
    with_card(customer)
    discount = {"percent": usd("10"), "applies_to": "any", "uses": 1, "key": "d", "source": "X"}
    services.add_discount(organization_id=customer.pk, at=now - timedelta(days=1), **discount)
    payment = renewal(customer, now)
    services.submit_due(at=now)
    assert letters() == letters() == [("ada@example.com", "Harbour: receipt for $27.00")]
    body = EmailDelivery.objects.get().body
    for text in (
        "Usage beyond your credit",
        "30.00",
        "3.00",
        "27.00 USD with Test card ending in 4242",
        str(payment.id),
    ):
        assert text in body


def test_of_all_tries_the_first_decline_and_the_end_are_told(customer):
    now = timezone.now()
    with_card(customer, "test_card_later")
    renewal(customer, now - timedelta(days=6), due_at=now - timedelta(days=6))
    for days in (6, 5, 3, 1):
        services.submit_due(at=now - timedelta(days=days))
    declined = ("ada@example.com", "Harbour: a payment of $30.00 was declined")
    assert Payment.objects.get().attempts == 4
    assert letters() == [declined]
    services.submit_due(at=now + timedelta(days=1))
    assert Payment.objects.get().status == "failed"
    assert set(letters()) == {declined, ("ada@example.com", "Harbour: a payment of $30.00 has failed")}


def test_nobody_is_written_to_about_test_books_what_cost_nothing_or_was_collected_elsewhere(customer):
    now = timezone.now()
    with_card(customer.test_twin)
    renewal(customer.test_twin, now)
    renewal(customer, now)
    services.add_discount(
        organization_id=customer.pk, percent=usd("100"), applies_to="any", uses=1, key="d", source="X", at=now
    )
    free = renewal(customer, now)
    assert free.status == "succeeded"
    services.submit_due(at=now)
    assert all("receipt" not in subject for _, subject in letters())
