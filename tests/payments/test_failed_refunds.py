"""Refunds that the provider could not make: what they took comes again, once, and an operator is told."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from config.concerns import concerns_at
from outbox.models import DomainEvent
from payments import services
from payments.errors import PaymentNotRefundable, RefundsOvertaken
from payments.models import IncomingEvent, Payment
from payments.providers.stripe.events import read_event
from payments.services.reports import carry_out
from tests.builders import NOON, make_organization, make_user, sign_in, usd
from tests.payments.building import balance_of
from tests.payments.signing import send_stripe, stripe_event
from tests.payments.test_disputes import bought, hear  # noqa: F401  (the fixture)

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
ORDERS = list(permutations(("paid", "refunded", "failed", "disputed")))[::3]


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


def test_of_two_answers_of_the_provider_the_older_one_is_no_failure(stripe, bought):  # noqa: F811
    """Two workers ask at almost the same time, and the one that asked first is the last to book."""
    charge = stripe.give_back(bought.provider_reference, 500)
    first = IncomingEvent(provider="stripe", type="charge.refunded", payload=stripe_event("charge.refunded", charge))
    older = read_event(first)
    send_stripe(stripe_event("charge.refunded", stripe.give_back(bought.provider_reference, 1000)))
    assert books(bought) == ("refunded", 15, 0)
    with pytest.raises(RefundsOvertaken):
        carry_out(older, at=NOON)
    assert carry_out(read_event(first), at=NOON).note == "Known."
    assert (books(bought), waiting()) == (("refunded", 15, 0), [0])


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_whatever_comes_first_credit_is_what_the_money_that_stays_has_bought(stripe, order):
    """Of $20 two refunds gave 5 and 10 back, the second failed, and the bank decides about 8."""
    organization = make_organization()
    payment = services.buy_credits(organization_id=organization.pk, credits=usd("20"), actor="test", at=NOON)
    session = stripe.pay(payment.checkout_reference)
    Payment.objects.filter(pk=payment.pk).update(provider_reference="")
    charge, _ = (stripe.give_back(session["payment_intent"], cents) for cents in (500, 1000))
    dispute = {"id": "dp_1", "object": "dispute", "payment_intent": session["payment_intent"], "amount": 800}
    events = {
        "paid": stripe_event("checkout.session.completed", session),
        "refunded": stripe_event("charge.refunded", charge),
        "failed": stripe_event("refund.failed", {**charge, "id": "re_told"}),
        "disputed": stripe_event("charge.dispute.created", {**dispute, "status": "needs_response", "reason": "x"}),
    }
    for name in order:
        if name == "failed":
            fail(stripe, [key for key in stripe.objects if key.startswith("re_")][1])
        assert send_stripe(events[name]).status_code == 200
        assert IncomingEvent.objects.latest("received_at").outcome == "done"
    assert books(payment) == ("refunded", 5, 0), "all that is unspent waits for the bank"
    decision, left = ("won", ("refunded", 5, 15)) if order[0] in "paid failed" else ("lost", ("refunded", 13, 0))
    hear("closed", payment, decision, payment_intent=session["payment_intent"], amount=800)
    assert books(payment) == left


def test_refunds_and_disputes_of_payments_that_are_not_ours_are_nobodys(stripe):
    foreign = stripe.make("payment_intent", "pi", status="succeeded", metadata={}, last_payment_error=None)
    for intent in (foreign["id"], "pi_of_another_mode", None):
        for kind in ("charge.refunded", "charge.dispute.created"):
            about = {"id": "x_1", "payment_intent": intent, "amount": 100, "status": "needs_response"}
            assert send_stripe(stripe_event(kind, about)).status_code == 200
            assert IncomingEvent.objects.latest("received_at").outcome == "ignored"
