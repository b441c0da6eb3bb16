"""Disputes with the bank, and refunds made with the provider: what becomes of money and credit."""

from datetime import timedelta

import pytest

from config.concerns import concerns_at
from credits.services import deduct_credits
from outbox.models import DomainEvent
from payments import services
from payments.models import AutoTopUp, Dispute, IncomingEvent, Payment
from payments.providers.port import MethodFacts
from payments.services.top_ups import pause_top_ups
from tests.builders import NOON, make_organization, make_user, sign_in, usd
from tests.payments.building import ask_for, balance_of
from tests.payments.signing import send_stripe, stripe_event

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bought(stripe):
    """20 USD of credit, paid with a card; 5 are spent."""
    organization = make_organization()
    payment = services.buy_credits(organization_id=organization.pk, credits=usd("20"), actor="test", at=NOON)
    session = stripe.pay(payment.checkout_reference)
    send_stripe(stripe_event("checkout.session.completed", session))
    deduct_credits(organization_id=organization.pk, amount=usd("5"), reason="use", actor="test", at=NOON)
    payment.refresh_from_db()
    assert balance_of(organization) == 15
    return payment


def hear(kind, payment, status="needs_response", id="dp_1", **fields):
    about = {"id": id, "object": "dispute", "amount": 2000, "reason": "fraudulent", "status": status, **fields}
    about.setdefault("payment_intent", payment.provider_reference)
    assert send_stripe(stripe_event(f"charge.dispute.{kind}", about)).status_code == 200
    payment.refresh_from_db()
    return IncomingEvent.objects.latest("received_at")


def test_a_dispute_takes_the_unspent_credit_and_stops_top_ups_once(bought):
    facts = MethodFacts("pm_ok", "cus_1", "Visa")
    who = {"organization_id": bought.organization_id, "actor": "ada", "at": NOON}
    services.save_method(provider="stripe", facts=facts, **who)
    services.set_auto_top_up(threshold=usd("5"), amount=usd("20"), **who)
    for kind in ("created", "updated"):
        assert hear(kind, bought).outcome == "done"
    dispute = Dispute.objects.get()
    assert (dispute.status, dispute.amount, dispute.credits_taken, dispute.reason) == ("open", 20, 15, "fraudulent")
    assert (bought.status, balance_of(bought.organization)) == ("succeeded", 0)
    assert AutoTopUp.objects.get().pause_reason == "A payment was disputed with the bank."
    assert DomainEvent.objects.filter(type="payment.disputed").count() == 1
    assert [event.data["by_dispute"] for event in DomainEvent.objects.filter(type="auto_top_up.paused")] == [True]


@pytest.mark.parametrize("was_declined", [False, True], ids=["running", "paused already"])
def test_only_the_rule_itself_set_again_lifts_a_disputes_pause(bought, was_declined):
    who = {"organization_id": bought.organization_id, "actor": "ada", "at": NOON}
    first, _ = (
        services.save_method(provider="stripe", facts=MethodFacts(reference, "cus_1", "Visa"), **who)
        for reference in ("pm_ok", "pm_two")
    )
    terms = {"threshold": usd("5"), "amount": usd("20")}
    services.set_auto_top_up(**terms, **who)
    if was_declined:
        pause_top_ups(bought, "Declined.", at=NOON)
    hear("created", bought)
    hear("closed", bought, "won")
    deduct_credits(organization_id=bought.organization_id, amount=usd("14"), reason="use", actor="test", at=NOON)
    services.set_default_method(method_id=first.id, **who)
    services.save_method(provider="stripe", facts=MethodFacts("pm_three", "cus_1", "Visa"), **who)
    rule = AutoTopUp.objects.get()
    assert rule.paused_at is not None and rule.pause_reason == "A payment was disputed with the bank."
    assert services.evaluate_top_ups(at=NOON) == 0
    services.set_auto_top_up(**terms, **who)
    assert (AutoTopUp.objects.get().paused_by_dispute, services.evaluate_top_ups(at=NOON)) == (False, 1)


def test_a_dispute_that_is_won_gives_the_credit_back_once(bought):
    hear("created", bought)
    for _ in range(2):
        hear("closed", bought, "won")
    assert (Dispute.objects.get().status, bought.status, balance_of(bought.organization)) == ("won", "succeeded", 15)


def test_credit_that_came_again_goes_with_a_later_refund_and_never_comes_after_one(bought):
    hear("created", bought)
    hear("closed", bought, "won")
    hear("created", bought, id="dp_2")
    assert (Dispute.objects.get(reference="dp_2").credits_taken, balance_of(bought.organization)) == (15, 0)
    hear("closed", bought, "won", id="dp_2")
    assert balance_of(bought.organization) == 15
    hear("created", bought, id="dp_3")
    who = {"actor": "test", "reason": "all of it", "at": NOON}
    services.refund_payment(payment_id=bought.id, amount=usd("20"), **who)
    hear("closed", bought, "won", id="dp_3")
    bought.refresh_from_db()
    assert (bought.status, bought.refunded, balance_of(bought.organization)) == ("refunded", 20, 0)


@pytest.mark.parametrize("is_before", [True, False], ids=["refunded before", "refunded meanwhile"])
def test_what_was_refunded_in_part_is_disputed_and_won_for_the_rest(bought, is_before):
    def refund():
        who = {"actor": "test", "reason": "half of it", "at": NOON}
        services.refund_payment(payment_id=bought.id, amount=usd("10"), **who)

    if is_before:
        refund()
        assert balance_of(bought.organization) == 5
    hear("created", bought, amount=1000)
    assert balance_of(bought.organization) == 0
    if not is_before:
        refund()
    hear("closed", bought, "won", amount=1000)
    assert (bought.status, bought.refunded, balance_of(bought.organization)) == ("refunded", 10, 5)


def test_a_dispute_that_is_lost_is_a_refund_by_the_bank(bought):
    hear("created", bought)
    hear("closed", bought, "lost")
    hear("created", bought)  # late
    assert Dispute.objects.get().status == "lost"
    assert (bought.status, bought.refunded, bought.refund_reference) == ("refunded", 20, "dp_1")
    assert balance_of(bought.organization) == 0
    assert services.submit_due(at=NOON + timedelta(days=1)) == 0  # nothing is sent: the bank has done it


def test_an_end_that_is_heard_of_first_counts_whole(bought):
    hear("closed", bought, "lost", amount=1000)
    assert (bought.status, bought.refunded, balance_of(bought.organization)) == ("refunded", 10, 0)


def test_what_takes_no_money_or_is_not_ours_changes_nothing(bought):
    assert hear("created", bought, "warning_needs_response").outcome == "ignored"
    assert hear("created", bought, payment_intent="pi_other").outcome == "ignored"
    assert (Dispute.objects.count(), balance_of(bought.organization)) == (0, 15)


def test_a_disputed_subscription_goes_on_until_an_operator_ends_it(stripe):
    organization = make_organization()
    payment = ask_for(organization, "30", purpose="overage", credits="0")
    services.open_checkout(payment_id=payment.id, at=NOON)
    payment.refresh_from_db()
    send_stripe(stripe_event("checkout.session.completed", stripe.pay(payment.checkout_reference)))
    payment.refresh_from_db()
    hear("created", payment, amount=3000)
    assert (Dispute.objects.get().credits_taken, payment.status) == (0, "succeeded")


def test_each_refund_made_with_stripe_takes_its_share_of_the_credit(bought, stripe):
    def told(about):
        send_stripe(stripe_event("charge.refunded", about))
        bought.refresh_from_db()
        return bought.refunded, balance_of(bought.organization), IncomingEvent.objects.latest("received_at").outcome

    first = stripe.give_back(bought.provider_reference, 500)
    assert told(first) == (5, 10, "done")
    assert told(stripe.give_back(bought.provider_reference, 300)) == (8, 7, "done")
    assert told(first) == (8, 7, "done")  # late
    assert told(stripe.give_back(bought.provider_reference, 1200)) == (20, 0, "done")
    assert told(stripe.give_back(bought.provider_reference, 100)) == (20, 0, "refused")
    assert Payment.objects.get().status == "refunded"


def test_operators_see_disputes_on_their_list_the_payment_and_the_front_page(bought):
    hear("created", bought)
    browser = sign_in(make_user(is_staff=True, is_superuser=True))
    listed = browser.get("/admin/payments/dispute/").content.decode()
    assert "fraudulent" in listed and "20.00" in listed
    assert "Disputes" in browser.get(f"/admin/payments/payment/{bought.pk}/change/").content.decode()
    assert [each.count for each in concerns_at(NOON, []) if "disputed" in each.label] == [1]
