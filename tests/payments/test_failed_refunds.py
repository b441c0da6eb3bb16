"""Refunds that the provider could not make: what they took comes again, once, and an operator is told."""

from datetime import timedelta
from decimal import Decimal

import pytest

from config.concerns import concerns_at
from outbox.models import DomainEvent
from payments import services
from payments.errors import PaymentNotRefundable
from payments.models import Payment
from tests.builders import NOON, make_user, sign_in, usd
from tests.payments.building import balance_of
from tests.payments.signing import send_stripe, stripe_event
from tests.payments.test_disputes import bought, hear  # noqa: F401  (the fixture)

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def books(payment):
    payment.refresh_from_db()
    return payment.status, payment.refunded, balance_of(payment.organization)


def refund(payment, **fields):
    services.refund_payment(payment_id=payment.id, actor="ada", reason="asked", at=NOON, **fields)


def tell(kind, payment):
    refund = {"id": "re_told", "object": "refund", "payment_intent": payment.provider_reference, "status": "failed"}
    assert send_stripe(stripe_event(kind, refund)).status_code == 200


def fail(stripe, reference):
    stripe.objects[reference].update(status="failed", failure_reason="expired_or_canceled_card")


def waiting():
    return [each.count for each in concerns_at(NOON, []) if "refund failed" in each.label]


def test_a_refund_that_fails_after_it_succeeded_gives_the_credit_back_once_and_can_be_made_again(stripe, bought):  # noqa: F811
    for kept, again in ((15, "re_"), (15, "re_")):
        refund(bought)
        services.submit_due(at=NOON)
        assert books(bought) == ("refunded", 15, 0) and bought.refund_reference.startswith(again)
        fail(stripe, bought.refund_reference)
        for kind in ("refund.failed", "charge.refund.updated", "refund.updated", "charge.refunded"):
            tell(kind, bought)
        assert books(bought) == ("succeeded", 0, kept)
        assert (bought.failure_code, bought.retry_at, waiting()) == ("refund_failed", None, [1])
    news = DomainEvent.objects.filter(type="payment.refund_failed").order_by("created_at")
    assert [(each.data["amount"], each.data["credits"]) for each in news] == [("15", "15")] * 2
    assert news[0].data["reason"] == "The refund was not made: expired or canceled card."
    assert (stripe.made["refund"], services.submit_due(at=NOON + DAY)) == (2, 0)
    refund(bought, by_hand=True)
    tell("refund.failed", bought)  # late
    assert (books(bought), waiting(), services.submit_due(at=NOON + DAY)) == (("refunded", 15, 0), [0], 0)


def test_of_several_refunds_the_one_that_fails_gives_its_share_back(stripe, bought):  # noqa: F811
    for cents in (500, 1000):
        send_stripe(stripe_event("charge.refunded", stripe.give_back(bought.provider_reference, cents)))
    assert books(bought) == ("refunded", 15, 0)
    [first, second] = [key for key in stripe.objects if key.startswith("re_")]
    fail(stripe, second)
    tell("refund.failed", bought)
    assert books(bought) == ("refunded", 5, 10)
    fail(stripe, first)
    tell("refund.failed", bought)
    assert books(bought) == ("succeeded", 0, 15)


def test_a_refund_that_fails_before_or_while_it_is_made_is_taken_back_too(stripe, bought):  # noqa: F811
    refund(bought)
    tell("refund.failed", bought)  # of another one, long ago: ours is still on its way
    assert books(bought) == ("refunded", 15, 0)
    stripe.refund_status = "pending"
    services.submit_due(at=NOON)
    fail(stripe, bought.refund_reference or (books(bought) and bought.refund_reference))
    services.submit_due(at=NOON + DAY)
    tell("refund.failed", bought)
    assert books(bought) == ("succeeded", 0, 15)
    refund(bought, amount=usd("10"))
    Payment.objects.filter(pk=bought.pk).update(provider_reference="pi_gone")  # Stripe refuses
    services.submit_due(at=NOON + 2 * DAY)
    assert books(bought) == ("succeeded", 0, 15)
    assert DomainEvent.objects.filter(type="payment.refund_failed").count() == 2


def test_what_the_bank_took_stays_taken_when_a_refund_fails(stripe, bought):  # noqa: F811
    send_stripe(stripe_event("charge.refunded", stripe.give_back(bought.provider_reference, 500)))
    hear("created", bought, amount=1500)
    hear("closed", bought, "lost", amount=1500)
    assert books(bought) == ("refunded", 20, 0)
    fail(stripe, next(key for key in stripe.objects if key.startswith("re_")))
    tell("refund.failed", bought)
    assert (books(bought), bought.credits_refunded) == (("refunded", 15, 5), Decimal(0))


def test_an_operator_sends_the_money_or_leaves_it_with_a_reason(stripe, bought):  # noqa: F811
    browser = sign_in(make_user(is_staff=True, is_superuser=True))
    page = f"/admin/payments/payment/{bought.pk}"
    with pytest.raises(PaymentNotRefundable):
        services.leave_paid(payment_id=bought.pk, actor="ada", reason="x", at=NOON)
    Payment.objects.filter(pk=bought.pk).update(failure_code="refund_failed", failure_message="no")
    assert "Leave as paid" in browser.get(f"{page}/change/").content.decode()
    assert browser.post(f"{page}/leave-paid/", {"reason": " "}).status_code == 200
    assert waiting() == [1]
    assert browser.post(f"{page}/leave-paid/", {"reason": "They keep it"}).status_code == 302
    assert (books(bought), waiting(), bought.failure_code) == (("succeeded", 0, 15), [0], "")
    assert browser.post(f"{page}/refund/", {"reason": "by transfer", "by_hand": "on"}).status_code == 302
    assert (books(bought), services.submit_due(at=NOON + DAY)) == (("refunded", 15, 0), 0)
    assert stripe.made["refund"] == 0
