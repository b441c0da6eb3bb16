"""Orders and subscriptions that a sender of Standard Webhooks collects by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from credits.models import Lot
from payments import registry, services
from payments.errors import EventForgotten
from payments.models import IncomingEvent, Payment
from payments.services.incoming import forget_payloads
from tests.builders import NOON, make_organization, usd
from tests.payments.building import ask_for, balance_of
from tests.payments.signing import SECRET, send_standard

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sender(settings):
    settings.STANDARD_WEBHOOK_SECRETS = {"polar": SECRET}


@pytest.fixture
def followed(monkeypatch):
    """What a follower of external subscriptions hears."""
    heard = []
    monkeypatch.setattr(registry, "_subscriptions", [lambda said, *, at: heard.append(said) or "Heard."])
    return heard


def order(organization, **fields):
    data = {
        "id": "ord_1",
        "status": "paid",
        "currency": "usd",
        "net_amount": 1000,
        "tax_amount": 190,
        "total_amount": 1190,
        "customer": {"email": "payer@example.com", "external_id": str(organization.pk)},
        "metadata": {},
        "product": {"name": "Credits", "metadata": {}},
        **fields,
    }
    return {"type": "order.paid", "timestamp": "2026-03-02T12:00:00Z", "data": data}


def event():
    return IncomingEvent.objects.latest("received_at")


def test_an_order_of_a_known_customer_buys_as_much_credit_as_was_paid_without_tax():
    organization = make_organization()
    answer = send_standard(order(organization))
    assert (answer.status_code, answer.json()["received"]) == (200, True)
    payment = Payment.objects.get()
    assert (payment.status, payment.amount, payment.credits, payment.provider) == ("succeeded", 10, 10, "webhook")
    assert payment.provider_reference == "polar:ord_1"
    assert Lot.objects.get(account_id=organization.pk).kind == "purchased"
    assert balance_of(organization) == 10
    assert (event().outcome, event().payment_id, event().organization_id) == ("done", payment.id, organization.pk)


@pytest.mark.parametrize(
    ("fields", "credits"),
    [
        ({"metadata": {"credits": "12.5"}}, "12.5"),
        ({"product": {"metadata": {"credits": 30}}}, "30"),
        ({"metadata": {"credits": "7"}, "product": {"metadata": {"credits": "30"}}}, "7"),
    ],
)
def test_the_order_names_its_credit_in_its_own_metadata_or_its_products(fields, credits):
    organization = make_organization()
    send_standard(order(organization, **fields))
    assert balance_of(organization) == usd(credits)


def test_the_organization_in_the_metadata_counts_before_the_external_customer():
    owner, other = make_organization(), make_organization()
    send_standard(order(other, metadata={"organization_id": str(owner.pk)}))
    assert (balance_of(owner), balance_of(other)) == (10, 0)


def test_the_same_order_in_two_events_buys_once():
    organization = make_organization()
    send_standard(order(organization), id="msg_1")
    send_standard(order(organization), id="msg_2")
    send_standard(order(organization), id="msg_1")
    assert (balance_of(organization), Payment.objects.count(), IncomingEvent.objects.count()) == (10, 1, 2)


def test_an_order_settles_the_payment_that_it_was_made_for():
    organization = make_organization()
    owed = ask_for(organization, "10", purpose="overage", credits="0")
    send_standard(order(organization, metadata={"payment_id": str(owed.pk)}))
    owed.refresh_from_db()
    assert (owed.status, owed.provider_reference, Payment.objects.count()) == ("succeeded", "polar:ord_1", 1)


def test_an_order_does_not_settle_a_strangers_payment_or_another_amount():
    organization = make_organization()
    foreign = ask_for(make_organization(), "10")
    cheaper = ask_for(organization, "9.99")
    for number, payment in enumerate((foreign, cheaper)):
        send_standard(order(organization, metadata={"payment_id": str(payment.pk)}), id=f"m{number}")
        payment.refresh_from_db()
        assert (event().outcome, payment.status) == ("refused", "open")
    assert balance_of(organization) == 0


def test_an_order_for_a_tier_is_kept_as_revenue_and_handed_on(followed):
    organization = make_organization()
    product = {"metadata": {"tier": "starter", "option": "byok"}}
    send_standard(order(organization, product=product))
    payment = Payment.objects.get()
    assert (payment.purpose, payment.amount, payment.credits) == ("subscription", 10, 0)
    assert balance_of(organization) == 0
    [heard] = followed
    assert (heard.organization_id, heard.event, heard.tier, heard.option) == (
        organization.pk,
        "active",
        "starter",
        "byok",
    )


def subscription(organization, kind, **fields):
    data = {"id": "sub_1", "customer": {"external_id": str(organization.pk)}, "metadata": {"tier": "pro"}, **fields}
    return {"type": f"subscription.{kind}", "timestamp": "2026-03-02T12:00:00Z", "data": data}


def test_subscriptions_are_handed_on_once_with_what_they_say(followed):
    organization = make_organization()
    for _ in range(2):
        send_standard(subscription(organization, "active"), id="a")
    send_standard(subscription(organization, "canceled", ends_at="2026-04-01T00:00:00Z"), id="b")
    assert [(each.event, each.tier, each.reference, each.ends_at) for each in followed] == [
        ("active", "pro", "sub_1", None),
        ("canceled", "pro", "sub_1", datetime(2026, 4, 1, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"customer": {"external_id": None}}, "unreadable_webhook"),
        ({"customer": {"external_id": "acme"}}, "unreadable_webhook"),
        ({"customer": {"external_id": "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10"}}, "not_found"),
        ({"currency": "eur"}, "invalid_payment_amount"),
        ({"net_amount": "10.00"}, "invalid_payment_amount"),
        ({"net_amount": -1}, "invalid_payment_amount"),
        ({"net_amount": 0}, "invalid_payment_amount"),
        ({"metadata": {"credits": "0.0000000000001"}}, "invalid_payment_amount"),
        ({"metadata": {"credits": "-1"}}, "invalid_payment_amount"),
        ({"id": ""}, "unreadable_webhook"),
    ],
)
def test_what_does_not_fit_is_kept_refused_with_a_code_and_moves_nothing(fields, code):
    organization = make_organization()
    assert send_standard(order(organization, **fields)).status_code == 200
    assert (event().outcome, event().note.partition(":")[0]) == ("refused", code)
    assert (balance_of(organization), Payment.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": "v1,not base64!"},
        {"webhook-signature": ""},
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "0"},
        {"webhook-timestamp": "soon"},
    ],
)
def test_a_forged_signature_is_refused_and_nothing_is_kept(headers):
    answer = send_standard(order(make_organization()), **headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_webhook_signature")
    assert not IncomingEvent.objects.exists()


def test_an_order_that_was_booked_for_somebody_else_is_refused():
    first, second = make_organization(), make_organization()
    send_standard(order(first), id="1")
    send_standard(order(second), id="2")
    assert (event().outcome, event().note.partition(":")[0]) == ("refused", "order_booked_elsewhere")
    assert (balance_of(first), balance_of(second)) == (10, 0)


def test_an_old_message_is_refused():
    old = datetime.now(UTC) - timedelta(minutes=6)
    assert send_standard(order(make_organization()), at=old).status_code == 401


def test_an_unknown_sender_has_no_endpoint():
    assert send_standard(order(make_organization()), source="stranger").status_code == 404


def test_a_secret_is_replaced_without_losing_a_message(settings):
    new = "whsec_bmV3IHNlY3JldCBmb3IgdGhlIHNlbmRlcg=="
    settings.STANDARD_WEBHOOK_SECRETS = {"polar": f"{new}|{SECRET}"}
    organization = make_organization()
    assert send_standard(order(organization), secret=new, id="1").status_code == 200
    assert send_standard(order(organization), secret=SECRET, id="2").status_code == 200


def test_a_replayed_id_with_a_changed_body_is_refused_and_moves_nothing():
    organization = make_organization()
    send_standard(order(organization))
    answer = send_standard(order(organization, id="ord_2", net_amount=99900))
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_body_changed")
    assert (balance_of(organization), Payment.objects.count(), IncomingEvent.objects.count()) == (10, 1, 1)


def test_the_same_id_of_two_senders_is_two_events(settings):
    settings.STANDARD_WEBHOOK_SECRETS = {"polar": SECRET, "shop": SECRET}
    organization = make_organization()
    send_standard(order(organization), source="polar")
    send_standard(order(organization), source="shop")
    assert balance_of(organization) == 20


def test_an_operator_replays_an_event_and_what_was_done_is_not_done_again():
    organization = make_organization()
    send_standard(order(organization))
    for _ in range(2):
        replayed = services.replay_event(event_id=event().id, reason="Again", actor="ada", at=NOON)
    assert (replayed.outcome, balance_of(organization), Payment.objects.count()) == ("done", 10, 1)


def test_a_refused_event_is_carried_out_by_a_replay_once_its_reason_is_gone():
    organization = make_organization()
    missing = "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10"
    send_standard(order(organization, customer={"external_id": missing}), id="late")
    assert event().outcome == "refused"
    late = make_organization(id=missing)
    services.replay_event(event_id=event().id, reason="Again", actor="ada", at=NOON)
    assert (event().outcome, balance_of(late)) == ("done", 10)


def test_a_forgotten_event_cannot_be_replayed():
    send_standard(order(make_organization()))
    assert forget_payloads(before=datetime.now(UTC) + timedelta(days=1)) == 1
    with pytest.raises(EventForgotten):
        services.replay_event(event_id=event().id, reason="Again", actor="ada", at=NOON)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "order.paid\\u0000", "data": {}}',
        b'{"type": "order.paid", "data": {"note": "\\\\\\u0000"}}',
        b'{"type": "order.paid", "data": {"note": "\\ud800"}}',
        b'{"type": "order.paid", "data": {"amount": 1e999999999}}',
        b'{"type": "order.paid", "data": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_signed_body_that_cannot_be_kept_is_refused(body):
    answer = send_standard(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_webhook")
    assert not IncomingEvent.objects.exists()
    assert send_standard(b'{"type": "other", "data": {"note": "\\\\u0000"}}').status_code == 200


def test_a_body_beyond_the_limit_is_refused():
    huge = order(make_organization(), note="x" * 600_000)
    assert send_standard(huge).status_code == 413
