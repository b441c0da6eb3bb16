"""The Stripe adapter against a local server that answers like Stripe's API, and webhooks with real signatures."""

import json
import logging
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from payments import services
from payments.errors import ProviderUnavailable
from payments.models import IncomingEvent, Payment, PaymentMethod
from payments.providers.port import MethodFacts
from tests.builders import NOON, make_organization, usd
from tests.payments.building import ask_for, balance_of
from tests.payments.building import with_card as with_test_card
from tests.payments.signing import send_stripe, stripe_event, stripe_signature

pytestmark = pytest.mark.django_db(transaction=True)


def buy(organization, amount="20"):
    return services.buy_credits(organization_id=organization.pk, credits=usd(amount), actor="test", at=NOON)


def with_card(organization, reference="pm_ok", customer="cus_1"):
    facts = MethodFacts(reference, customer, "Visa ending in 4242")
    return services.save_method(organization_id=organization.pk, provider="stripe", facts=facts, actor="test", at=NOON)


def renewal(organization, **fields):
    fields = {"purpose": "subscription", "collection": "automatic", "credits": "0", **fields}
    return ask_for(organization, "30", **fields)


def posts(stripe, path):
    return [(params, key) for method, each, params, key in stripe.requests if (method, each) == ("POST", path)]


def outcome():
    return IncomingEvent.objects.latest("received_at").outcome


# ---------------------------------------------------------------- pages


def test_buying_credit_opens_a_checkout_session_that_keeps_the_card(stripe, settings):
    organization = make_organization()
    payment = buy(organization)
    [(params, key)] = posts(stripe, "/v1/checkout/sessions")
    assert payment.checkout_url == f"https://checkout.stripe.com/c/pay/{payment.checkout_reference}"
    assert key == f"checkout:{payment.id}:0"
    assert params["line_items"]["0"]["price_data"]["unit_amount"] == "2000"
    assert params["payment_intent_data"]["setup_future_usage"] == "off_session"
    assert params["metadata"]["farebox_payment"] == str(payment.id)
    assert params["customer_creation"] == "always"
    assert params["success_url"] == f"{settings.PUBLIC_URL}/payments/{payment.id}/?returned=1"

    session = stripe.pay(payment.checkout_reference)
    assert send_stripe(stripe_event("checkout.session.completed", session)).status_code == 200
    payment.refresh_from_db()
    assert (payment.status, payment.provider_reference) == ("succeeded", session["payment_intent"])
    assert balance_of(organization) == 20
    method = PaymentMethod.objects.get()
    assert (method.label, method.customer, method.is_default) == ("Visa ending in 4242", session["customer"], True)

    # The next page is for the customer that Stripe knows by now.
    buy(organization)
    assert posts(stripe, "/v1/checkout/sessions")[1][0]["customer"] == session["customer"]


def test_all_events_of_one_payment_grant_its_credit_once(stripe):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.pay(payment.checkout_reference)
    intent = stripe.objects[session["payment_intent"]]
    for event in (
        stripe_event("payment_intent.succeeded", intent),
        stripe_event("checkout.session.completed", session),
        stripe_event("payment_intent.succeeded", intent),
    ):
        assert send_stripe(event).status_code == 200
    assert balance_of(organization) == 20
    assert PaymentMethod.objects.count() == 1
    assert {event.outcome for event in IncomingEvent.objects.all()} == {"done"}


def test_coming_back_from_the_page_is_enough_without_any_webhook(stripe):
    organization = make_organization()
    payment = buy(organization)
    services.refresh_payment(payment_id=payment.id, at=NOON)
    assert Payment.objects.get().status == "open"
    stripe.pay(payment.checkout_reference)
    services.refresh_payment(payment_id=payment.id, at=NOON)
    assert (Payment.objects.get().status, balance_of(organization)) == ("succeeded", 20)


def test_a_page_that_nobody_reported_about_is_asked_about(stripe):
    organization = make_organization()
    paid, left = buy(organization), buy(organization)
    stripe.pay(paid.checkout_reference)
    assert services.submit_due(at=NOON + timedelta(hours=24)) == 0
    assert services.submit_due(at=NOON + timedelta(hours=26)) == 2
    paid.refresh_from_db()
    left.refresh_from_db()
    assert (paid.status, left.status, left.failure_code) == ("succeeded", "canceled", "abandoned")
    assert stripe.objects[left.checkout_reference]["status"] == "expired"


def test_a_bank_that_says_later_keeps_the_payment_waiting(stripe):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.pay(payment.checkout_reference)
    session["payment_status"] = "unpaid"
    services.submit_due(at=NOON + timedelta(hours=26))
    payment.refresh_from_db()
    assert (payment.status, payment.retry_at, balance_of(organization)) == ("open", NOON + timedelta(hours=27), 0)
    send_stripe(stripe_event("checkout.session.completed", session))
    assert balance_of(organization) == 0
    session["payment_status"] = "paid"
    send_stripe(stripe_event("checkout.session.async_payment_succeeded", session))
    assert balance_of(organization) == 20


def test_a_bank_that_says_no_ends_the_purchase_and_leaves_what_is_owed_with_a_fresh_page(stripe):
    organization = make_organization()
    bought = buy(organization)
    owed = ask_for(organization, "30", purpose="overage", credits="0")
    services.open_checkout(payment_id=owed.id, at=NOON)
    for payment in (bought, owed):
        payment.refresh_from_db()
        session = stripe.pay(payment.checkout_reference)
        session["payment_status"] = "unpaid"
        stripe.objects[session["payment_intent"]]["status"] = "requires_payment_method"
        send_stripe(stripe_event("checkout.session.async_payment_failed", session))
        payment.refresh_from_db()
    assert (bought.status, bought.failure_message) == ("canceled", "The bank did not pay.")
    assert (owed.status, owed.checkout_url) == ("open", "")


def test_an_expired_page_cancels_the_purchase_and_an_old_one_does_not(stripe):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.objects[payment.checkout_reference]
    send_stripe(stripe_event("checkout.session.expired", {**session, "id": "cs_of_before"}))
    payment.refresh_from_db()
    assert payment.status == "open"
    send_stripe(stripe_event("checkout.session.expired", session))
    payment.refresh_from_db()
    assert payment.status == "canceled"


def test_a_card_is_saved_without_a_payment(stripe):
    organization = make_organization()
    services.open_saving(organization_id=organization.pk)
    session = next(each for each in stripe.objects.values() if each["object"] == "checkout.session")
    assert session["mode"] == "setup"
    send_stripe(stripe_event("checkout.session.completed", stripe.save(session["id"], "pm_declined")))
    method = PaymentMethod.objects.get()
    assert (method.reference, method.label) == ("pm_declined", "Mastercard ending in 0341")


def test_money_that_comes_after_the_purchase_was_given_up_still_buys(stripe):
    organization = make_organization()
    payment = buy(organization)
    services.cancel_payment(payment_id=payment.id, actor="test", at=NOON)
    send_stripe(stripe_event("checkout.session.completed", stripe.pay(payment.checkout_reference)))
    payment.refresh_from_db()
    assert (payment.status, balance_of(organization)) == ("succeeded", 20)


def test_another_amount_than_was_asked_for_moves_nothing_and_waits_for_an_operator(stripe):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.pay(payment.checkout_reference)
    session["amount_total"] = 100
    send_stripe(stripe_event("checkout.session.completed", session))
    payment.refresh_from_db()
    assert (payment.status, balance_of(organization), outcome()) == ("open", 0, "refused")


# ---------------------------------------------------------------- saved methods


def test_a_renewal_charges_the_saved_method_without_its_owner(stripe):
    organization = make_organization()
    with_card(organization)
    payment = renewal(organization)
    assert services.submit_due(at=NOON) == 1
    [(params, key)] = posts(stripe, "/v1/payment_intents")
    assert key == f"payment:{payment.id}:1"
    assert (params["amount"], params["off_session"], params["confirm"]) == ("3000", "true", "true")
    assert (params["customer"], params["payment_method"]) == ("cus_1", "pm_ok")
    payment.refresh_from_db()
    assert (payment.status, payment.attempts) == ("succeeded", 1)
    assert services.submit_due(at=NOON + timedelta(days=9)) == 0


@pytest.mark.parametrize(
    ("method", "code"), [("pm_declined", "insufficient_funds"), ("pm_sca", "authentication_required")]
)
@pytest.mark.parametrize(
    ("late", "days"), [(0, [0, 1, 3, 5, 7]), (40, [0, 0.5, 1.5, 2.5, 3.5])], ids=["on time", "after downtime"]
)
def test_a_declined_renewal_is_tried_on_days_one_three_five_and_seven_then_fails(stripe, method, code, late, days):
    organization = make_organization()
    with_card(organization, method)
    payment = renewal(organization)
    tried = []
    for hours in range(0, 24 * 10, 6):
        before = stripe.made["payment_intent"]
        services.submit_due(at=NOON + timedelta(days=late, hours=hours))
        if stripe.made["payment_intent"] > before:
            tried.append(hours / 24)
    payment.refresh_from_db()
    assert tried == days
    assert (payment.status, payment.attempts, payment.failure_code) == ("failed", 5, code)
    assert len({key for _, key in posts(stripe, "/v1/payment_intents")}) == 5


def test_the_event_of_a_decline_that_is_booked_already_changes_nothing(stripe):
    organization = make_organization()
    with_card(organization, "pm_declined")
    payment = renewal(organization)
    services.submit_due(at=NOON)
    before = Payment.objects.values().get()
    intent = next(each for each in stripe.objects.values() if each["object"] == "payment_intent")
    send_stripe(stripe_event("payment_intent.payment_failed", intent))
    assert Payment.objects.values().get(pk=payment.pk) == before


def test_without_a_saved_method_nothing_is_charged(stripe):
    payment = renewal(make_organization())
    services.submit_due(at=NOON)
    payment.refresh_from_db()
    assert (payment.status, payment.failure_code, stripe.requests) == ("open", "no_payment_method", [])


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_lost_answer_is_asked_for_again_and_charges_once(stripe, fault):
    """``after``: Stripe has charged and we never heard. When the lease ends the charge is looked up, not made again."""
    organization = make_organization()
    with_card(organization)
    payment = renewal(organization)
    stripe.faults = [fault]
    services.submit_due(at=NOON)
    payment.refresh_from_db()
    assert (payment.status, payment.attempts) == ("processing", 1)
    assert services.submit_due(at=NOON + timedelta(minutes=4)) == 0
    services.submit_due(at=NOON + timedelta(minutes=6))
    payment.refresh_from_db()
    assert (payment.status, payment.attempts, stripe.made["payment_intent"]) == ("succeeded", 1, 1)
    assert {key for _, key in posts(stripe, "/v1/payment_intents")} == {f"payment:{payment.id}:1"}


def test_a_process_that_dies_between_charge_and_books_is_repaired(stripe, monkeypatch):
    organization = make_organization()
    with_card(organization)
    payment = renewal(organization)

    def die(*_, **__):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("payments.services.submission.record_answer", die)
        with pytest.raises(SystemExit):
            services.submit_due(at=NOON)
    # Longer than Stripe keeps idempotency keys: only the look-up prevents a second charge.
    stripe.answers.clear()
    services.submit_due(at=NOON + timedelta(days=3))
    payment.refresh_from_db()
    assert (payment.status, stripe.made["payment_intent"]) == ("succeeded", 1)


def test_the_webhook_of_a_charge_repairs_it_before_the_lease_ends(stripe):
    organization = make_organization()
    with_card(organization)
    payment = renewal(organization)
    stripe.faults = ["after"]
    services.submit_due(at=NOON)
    intent = next(each for each in stripe.objects.values() if each["object"] == "payment_intent")
    send_stripe(stripe_event("payment_intent.succeeded", intent))
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert services.submit_due(at=NOON + timedelta(minutes=6)) == 0


def test_a_page_is_closed_before_the_saved_method_is_charged_again(stripe):
    organization = make_organization()
    with_card(organization, "pm_declined")
    payment = renewal(organization)
    services.submit_due(at=NOON)
    page = services.open_checkout(payment_id=payment.id, at=NOON)
    services.submit_due(at=NOON + timedelta(days=1))
    assert stripe.objects[page.checkout_reference]["status"] == "expired"
    fresh = services.open_checkout(payment_id=payment.id, at=NOON)
    assert fresh.checkout_reference != page.checkout_reference
    # Paid there, it is not charged.
    stripe.pay(fresh.checkout_reference)
    charged = stripe.made["payment_intent"]
    services.submit_due(at=NOON + timedelta(days=3))
    payment.refresh_from_db()
    assert (payment.status, stripe.made["payment_intent"]) == ("succeeded", charged)


def test_with_stripe_away_the_buyer_is_told_and_nothing_is_lost(stripe, settings):
    organization = make_organization()
    stripe.faults = ["before"]
    with pytest.raises(ProviderUnavailable):
        buy(organization)
    assert Payment.objects.get().status == "open"
    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(ProviderUnavailable):
        buy(organization)


# ---------------------------------------------------------------- refunds


def test_a_refund_is_sent_once_and_its_event_changes_nothing(stripe):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.pay(payment.checkout_reference)
    send_stripe(stripe_event("checkout.session.completed", session))
    services.refund_payment(payment_id=payment.id, actor="ada", reason="asked", at=NOON)
    stripe.faults, stripe.refund_status = (
        ["", "after"],
        "pending",
    )  # it is looked for, then made, and the answer is lost
    services.submit_due(at=NOON)
    stripe.answers.clear()  # idempotency keys are forgotten after a day
    services.submit_due(at=NOON + timedelta(days=2))
    payment.refresh_from_db()
    assert (payment.refund_reference[:3], payment.retry_at) == ("re_", NOON + timedelta(days=2, hours=1))
    stripe.objects[payment.refund_reference]["status"] = "succeeded"
    services.submit_due(at=NOON + timedelta(days=3))
    assert services.submit_due(at=NOON + timedelta(days=4)) == 0
    payment.refresh_from_db()
    assert (payment.status, payment.refunded, stripe.made["refund"]) == ("refunded", 20, 1)
    charge = {"id": "ch_1", "payment_intent": session["payment_intent"], "amount_refunded": 2000}
    send_stripe(stripe_event("charge.refunded", charge))
    assert (outcome(), balance_of(organization)) == ("done", 0)


def test_a_refund_made_with_stripe_takes_the_credit_back(stripe):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.pay(payment.checkout_reference)
    send_stripe(stripe_event("checkout.session.completed", session))
    charge = stripe.give_back(session["payment_intent"], 500)
    for _ in range(2):
        send_stripe(stripe_event("charge.refunded", charge))
    payment.refresh_from_db()
    assert (payment.status, payment.refunded, balance_of(organization)) == ("refunded", 5, 15)
    assert (stripe.made["refund"], services.submit_due(at=NOON + timedelta(days=1))) == (1, 0)


# ---------------------------------------------------------------- signatures and ids


def test_an_event_is_carried_out_once_however_often_it_comes(stripe):
    organization = make_organization()
    payment = buy(organization)
    event = stripe_event("checkout.session.completed", stripe.pay(payment.checkout_reference))
    first = send_stripe(event)
    # A later delivery of the same event carries another count of waiting webhooks.
    again = send_stripe({**event, "pending_webhooks": 3})
    assert (first.json()["known"], again.json()["known"]) == (False, True)
    assert (IncomingEvent.objects.count(), balance_of(organization)) == (1, 20)


def test_the_same_id_with_another_body_is_refused_and_moves_nothing(stripe):
    organization = make_organization()
    payment, other = buy(organization), buy(organization, "50")
    event = stripe_event("checkout.session.completed", stripe.pay(payment.checkout_reference))
    send_stripe(event)
    changed = {**event, "data": {"object": stripe.pay(other.checkout_reference)}}
    answer = send_stripe(changed)
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_body_changed")
    other.refresh_from_db()
    assert (other.status, balance_of(organization), IncomingEvent.objects.count()) == ("open", 20, 1)


@pytest.mark.parametrize(
    "signature",
    ["", "nonsense", "t=1,v1=00", "old", "future key", "other body"],
)
def test_a_forged_or_old_signature_is_refused_and_nothing_is_kept(stripe, signature):
    event = stripe_event("checkout.session.completed", {"id": "cs_1"})
    body = json.dumps(event).encode()
    made = {
        "old": stripe_signature(body, at=time.time() - 301),
        "future key": stripe_signature(body, secret="whsec_other"),
        "other body": stripe_signature(body + b" "),
    }
    answer = send_stripe(body, made.get(signature, signature))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_webhook_signature")
    assert not IncomingEvent.objects.exists()


def test_two_secrets_are_good_while_one_is_being_replaced(stripe, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", "whsec_test"]
    for secret, status in (("whsec_new", 200), ("whsec_test", 200), ("whsec_old", 401)):
        assert send_stripe(stripe_event("ping", {}), secret=secret).status_code == status


@pytest.mark.parametrize("body", [b"[]", b'{"id": "evt_1"}', b"nonsense", b'{"id": 1, "type": "x", "object": "event"}'])
def test_signed_nonsense_is_refused(stripe, body):
    answer = send_stripe(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_webhook")


def test_without_a_secret_there_is_no_endpoint(settings):
    settings.STRIPE_WEBHOOK_SECRETS = []
    assert send_stripe(stripe_event("ping", {})).status_code == 404


def test_strangers_events_are_ignored(stripe):
    send_stripe(stripe_event("customer.created", {"id": "cus_9"}))
    assert outcome() == "ignored"
    foreign = stripe.make("payment_intent", "pi", metadata={}, status="succeeded", amount_received=1)
    send_stripe(stripe_event("payment_intent.succeeded", foreign))
    assert outcome() == "ignored"


def test_an_event_that_finds_stripe_away_is_carried_out_later(stripe):
    organization = make_organization()
    payment = buy(organization)
    event = stripe_event("checkout.session.completed", stripe.pay(payment.checkout_reference))
    stripe.faults = ["before"]
    assert send_stripe(event).status_code == 200
    assert (outcome(), balance_of(organization)) == ("failed", 0)
    assert services.process_due_events(at=timezone.now() + timedelta(minutes=1)) == 1
    assert (outcome(), balance_of(organization)) == ("done", 20)


def test_no_part_of_a_payload_is_logged(stripe, caplog):
    organization = make_organization()
    payment = buy(organization)
    session = stripe.pay(payment.checkout_reference)
    session["customer_details"] = {"email": "payer@example.com"}
    with caplog.at_level(logging.DEBUG):
        send_stripe(stripe_event("checkout.session.completed", session))
        send_stripe(b'{"customer": "payer@example.com"}', "t=1,v1=00")
    assert "payer@example.com" not in caplog.text
    assert "whsec_test" not in caplog.text


def test_the_page_of_a_canceled_payment_is_closed(stripe):
    organization = make_organization()
    payment = buy(organization)
    services.cancel_payment(payment_id=payment.id, actor="ada", at=NOON)
    assert services.submit_due(at=NOON) == 1
    assert stripe.objects[payment.checkout_reference]["status"] == "expired"
    payment.refresh_from_db()
    assert (payment.status, payment.retry_at) == ("canceled", None)
    send_stripe(stripe_event("checkout.session.expired", stripe.objects[payment.checkout_reference]))
    assert (Payment.objects.get().status, outcome()) == ("canceled", "done")


def test_who_pays_while_the_payment_is_canceled_has_bought_it(stripe):
    organization = make_organization()
    payment = buy(organization)
    stripe.pay(payment.checkout_reference)
    services.cancel_payment(payment_id=payment.id, actor="ada", at=NOON)
    services.submit_due(at=NOON)
    assert (Payment.objects.get().status, balance_of(organization)) == ("succeeded", 20)


def test_a_page_that_stripe_has_forgotten_is_not_asked_about_for_ever(stripe):
    payment = buy(make_organization())
    services.cancel_payment(payment_id=payment.id, actor="ada", at=NOON)
    del stripe.objects[payment.checkout_reference]
    services.submit_due(at=NOON)
    assert Payment.objects.get().retry_at is None


# ---------------------------------------------------------------- after the sandbox


def test_a_test_card_is_worth_nothing_once_stripe_collects(stripe, settings):
    organization = make_organization()
    settings.PAYMENT_PROVIDER = "sandbox"
    with_test_card(organization)
    owed = renewal(organization)
    page = services.open_checkout(payment_id=ask_for(organization, "7").id, at=NOON)
    settings.PAYMENT_PROVIDER = "stripe"
    assert not services.methods_of(organization.pk).exists()
    services.submit_due(at=NOON)
    owed.refresh_from_db()
    assert (owed.provider, owed.status, owed.failure_code) == ("stripe", "open", "no_payment_method")
    fresh = services.open_checkout(payment_id=page.id, at=NOON)
    assert (fresh.provider, fresh.checkout_url.partition("/c/")[0]) == ("stripe", "https://checkout.stripe.com")
    assert balance_of(organization) == 0

    card = with_card(organization)
    assert list(services.methods_of(organization.pk)) == [card] and card.is_default
    settings.PAYMENT_PROVIDER = "sandbox"
    [old] = services.methods_of(organization.pk)
    assert (old.provider, old.is_default) == ("sandbox", True)


def test_what_was_to_be_paid_with_a_test_card_waits_for_an_operator(stripe, settings):
    organization = make_organization()
    settings.PAYMENT_PROVIDER = "sandbox"
    with_test_card(organization)
    owed = renewal(organization)
    settings.PAYMENT_PROVIDER = "manual"
    services.submit_due(at=NOON)
    owed.refresh_from_db()
    assert (owed.provider, owed.collection, owed.status, owed.retry_at) == ("manual", "manual", "open", None)
