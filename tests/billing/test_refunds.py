"""Money given back to customers: never more than was paid, once, whatever the provider does meanwhile."""

from datetime import timedelta

import pytest

from billing import services
from billing.errors import InvalidValue, RefundedAlready
from billing.models import Charge, Order, Refund, SystemEvent
from billing_api.objects.orders import order_objects
from payments.charging.test_processor import TestProcessor
from payments.errors import ProviderRefused, ProviderUnavailable
from payments.models import IncomingEvent
from payments.services import process_incoming_event
from tests.billing.selling import (
    ACTOR,
    after,
    buy,
    credit_of,
    fixed,
    make_benefit,
    make_buyer,
    make_meter,
    make_product,
    subscribe,
    told,
)
from tests.billing.test_stripe import posts
from tests.builders import make_organization
from tests.payments.conftest import stripe  # noqa: F401
from tests.payments.signing import send_stripe, stripe_event

pytestmark = pytest.mark.django_db


def refund(order, amount, at=None, **fields):
    return services.refund_order(
        organization_id=order.organization_id,
        order_id=order.id,
        amount=amount,
        reason="customer_request",
        actor=ACTOR,
        at=at or after(hours=1),
        **fields,
    )


def test_an_order_is_given_back_in_parts_and_with_the_last_what_came_with_it(merchant):
    meter = make_meter(merchant)
    pack = make_product(merchant, fixed(1000), every=None, benefits=[make_benefit(merchant, meter, 50)])
    ada = make_buyer(merchant)
    buy(ada, pack)
    order = Order.objects.get()
    first = refund(order, 300)
    order.refresh_from_db()
    assert (first.status, order.status, order.refunded_amount) == ("succeeded", "partially_refunded", 300)
    assert credit_of(ada, meter).credited == 50
    with pytest.raises(InvalidValue) as refusal:
        refund(order, 701)
    assert (refusal.value.loc, refusal.value.message) == (("amount",), "At most 700 cents can be refunded.")
    refund(order, 700, revoke_benefits=True)
    order.refresh_from_db()
    assert (order.status, order.refunded_amount, credit_of(ada, meter).credited) == ("refunded", 1000, 0)
    assert Charge.objects.get().refunded_amount == 1000
    with pytest.raises(RefundedAlready):
        refund(order, 1)
    assert Refund.objects.count() == told(merchant).count("order.refunded") == 2
    listed = SystemEvent.objects.filter(name="order.refunded").order_by("metadata__refunded_amount")
    assert [event.metadata["refunded_amount"] for event in listed] == [300, 700]


def test_what_was_not_paid_or_goes_on_is_not_given_back(merchant):
    stranger, ada = make_organization(), make_buyer(merchant)
    subscribe(ada, make_product(merchant, fixed(1000)))
    subscribe(ada, make_product(merchant, services.PriceTerms()), token="")
    paid, free = Order.objects.order_by("-amount")
    with pytest.raises(InvalidValue) as refusal:
        refund(paid, 1, revoke_benefits=True)
    assert refusal.value.loc == ("revoke_benefits",)
    for order in (free, Order(id=paid.id, organization_id=stranger.id)):
        with pytest.raises(InvalidValue) as refusal:
            refund(order, 1)
        assert refusal.value.loc == ("order_id",)
    services.renew_due(at=after(days=31))  # a renewal was paid with the saved card
    again = refund(Order.objects.get(billing_reason="subscription_cycle", amount__gt=0), 1000, after(days=32))
    assert (again.status, again.charge.order_id) == ("succeeded", again.order_id)
    assert not Refund.objects.exclude(pk=again.pk).exists()


def test_a_provider_that_is_away_is_asked_again_and_one_that_refuses_gives_nothing(merchant, monkeypatch):
    buy(make_buyer(merchant), make_product(merchant, fixed(1000), every=None))
    order = Order.objects.get()
    whole = TestProcessor.refund

    def away(self, asked):
        raise ProviderUnavailable()

    monkeypatch.setattr(TestProcessor, "refund", away)
    waiting = refund(order, 900)
    assert (waiting.status, Order.objects.get().refunded_amount) == ("pending", 0)
    with pytest.raises(InvalidValue):  # it is as good as given
        refund(order, 101)
    monkeypatch.setattr(TestProcessor, "refund", whole)
    assert services.refund_due(at=after(hours=1, minutes=4)) == 0
    assert services.refund_due(at=after(hours=1, minutes=5)) == 1
    assert services.refund_due(at=after(hours=9)) == 0
    assert Order.objects.get().refunded_amount == 900

    def refuses(self, asked):
        raise ProviderRefused("No such payment.")

    monkeypatch.setattr(TestProcessor, "refund", refuses)
    failed = refund(order, 100)
    assert (failed.status, failed.failure_message) == ("failed", "No such payment.")
    assert (Order.objects.get().refunded_amount, Order.objects.get().status) == (900, "partially_refunded")


def test_stripe_gives_back_the_payment_that_was_made(stripe):  # noqa: F811
    merchant = make_organization()
    buy(make_buyer(merchant), make_product(merchant, fixed(1000), every=None), token="ctoken_ok")
    made = refund(Order.objects.get(), 400, after(hours=1) + timedelta(seconds=1))
    [(asked, key)] = posts(stripe, "/v1/refunds")
    assert (asked["amount"], asked["payment_intent"]) == ("400", Charge.objects.get().reference)
    assert (made.status, made.reference[:3], key) == ("succeeded", "re_", f"customer-refund:{made.id}")


def test_a_refund_that_stripe_has_under_way_is_asked_about_and_never_made_twice(stripe):  # noqa: F811
    merchant = make_organization()
    buy(make_buyer(merchant), make_product(merchant, fixed(1000), every=None), token="ctoken_ok")
    order = Order.objects.get()
    stripe.faults, stripe.refund_status = ["after"], "pending"
    left = refund(order, 1000)
    stripe.answers.clear()  # idempotency keys are forgotten after a day
    assert (left.status, left.reference, services.refund_due(at=after(days=2))) == ("pending", "", 1)
    left.refresh_from_db()
    assert (left.status, left.reference[:3], left.retry_at) == ("pending", "re_", after(days=2, hours=1))
    with pytest.raises(RefundedAlready):
        refund(order, 1, after(days=2))
    [shown] = order_objects([Order.objects.get()])
    assert (shown.status, shown.refunded_amount, shown.refundable_amount) == ("paid", 0, 0)
    assert services.refund_due(at=after(days=2, minutes=59)) == 0
    stripe.objects[left.reference]["status"] = "failed"
    services.refund_due(at=after(days=3))
    left.refresh_from_db()
    assert (left.status, Order.objects.get().refunded_amount, stripe.made["refund"]) == ("failed", 0, 1)
    stripe.refund_status = "succeeded"
    assert refund(order, 1000, after(days=3)).status == "succeeded"
    assert (Order.objects.get().status, stripe.made["refund"]) == ("refunded", 2)


def tell(kind, about):
    assert send_stripe(stripe_event(kind, about)).status_code == 200
    event = IncomingEvent.objects.latest("received_at")
    return process_incoming_event(event_id=event.id, at=after(days=2)).outcome


def test_a_refund_that_the_bank_sends_back_after_all_was_not_given(stripe):  # noqa: F811
    merchant = make_organization()
    meter = make_meter(merchant)
    pack = make_product(merchant, fixed(1000), every=None, benefits=[make_benefit(merchant, meter, 50)])
    ada = make_buyer(merchant)
    buy(ada, pack, token="ctoken_ok")
    order = Order.objects.get()
    part, rest = refund(order, 400), refund(order, 600, revoke_benefits=True)
    for failing, left in ((rest, ("partially_refunded", 400)), (part, ("paid", 0))):
        stripe.objects[failing.reference].update(status="failed", failure_reason="lost_or_stolen_card")
        for kind in ("refund.updated", "refund.failed", "charge.refund.updated"):
            about = {**stripe.objects[failing.reference], "status": "succeeded"}
            assert tell(kind, about) == "done"
        failing.refresh_from_db()
        order.refresh_from_db()
        assert (order.status, order.refunded_amount) == left
        assert (failing.status, failing.failure_message) == (
            "failed",
            "The refund was not made: lost or stolen card.",
        )
    assert (Charge.objects.get().refunded_amount, credit_of(ada, meter).credited) == (0, 0)
    assert [told(merchant).count(f"refund.{news}") for news in ("created", "updated")] == [2, 4]
    again = refund(order, 1000, after(days=3))
    assert (again.status, order_objects([Order.objects.get()])[0].refundable_amount) == ("succeeded", 0)
    other = {"id": again.reference, "payment_intent": "pi_1", "metadata": {"farebox_customer_refund": str(merchant.pk)}}
    assert tell("refund.updated", other) == "ignored"
