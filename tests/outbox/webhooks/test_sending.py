"""Told once, signed in both forms, tried until it arrives; what a receiver may do to us, and what is written of it."""

import base64
import json
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
import standardwebhooks
from django.core import mail
from django.utils import timezone

from outbox.mail import send_emails
from outbox.models import DomainEvent, EmailDelivery, WebhookDelivery, WebhookEvent, WebhookMessage
from outbox.webhooks import handlers, schedule, sending, transport
from outbox.webhooks.services import (
    enable_endpoint,
    redeliver_event,
    replay_message,
    replay_missed,
    rotate_secret,
    send_test,
)
from tests.builders import make_customer, make_user
from tests.concurrency.parallel import wait_until
from tests.outbox.webhooks import receiver as acts
from tests.outbox.webhooks.conftest import BOSS, make_endpoint, send, tell

pytestmark = pytest.mark.django_db


def verified(request, secret):
    return standardwebhooks.Webhook(secret).verify(request.body, request.headers)


def utf8(secret):
    """The form of key that the clients of the usage-billing wire make of a secret."""
    return base64.b64encode(secret.encode()).decode()


def by(organization):
    return {"organization_id": organization.id, "actor": BOSS, "at": timezone.now()}


def test_news_reaches_the_endpoint_once_with_signatures_in_both_forms_of_key(customer, endpoint, receiver):
    event = tell(customer, amount="12.5", kind="bonus", balance="20", internal="not for strangers")
    handlers.announce(event)  # handed on a second time
    assert send() == (1, 0)
    assert send() == (0, 0)
    [request] = receiver.requests
    assert verified(request, endpoint.secret) == verified(request, utf8(endpoint.secret))
    body = json.loads(request.body)
    assert (body["type"], body["id"], request.headers["webhook-id"]) == (
        "credits.granted",
        str(event.id),
        str(event.id),
    )
    assert body["data"] == {"amount": "12.5", "kind": "bonus", "entry_id": None, "balance": "20"}
    assert body["organization_id"] == str(customer.id)
    assert request.headers["content-type"] == "application/json"
    delivery = WebhookDelivery.objects.get()
    assert (delivery.succeeded, delivery.http_code, delivery.number, delivery.problem) == (True, 200, 1, "")


def test_only_what_an_endpoint_has_chosen_and_only_its_own_organizations_news_is_told(customer, endpoint, receiver):
    make_endpoint(make_customer(), receiver.url, "credits.low")
    tell(customer, "credits.low")
    tell(make_customer())
    tell(customer.test_twin)
    assert WebhookEvent.objects.count() == 0
    assert send() == (0, 0)


def test_what_nobody_wants_leaves_no_rows(customer):
    tell(customer)
    assert WebhookEvent.objects.count() == 0


def test_a_failure_is_tried_again_with_the_same_bytes_and_id_and_growing_pauses(customer, endpoint, receiver):
    receiver.answers = [500, 503]
    event = tell(customer)
    begun, second = timezone.now(), timedelta(seconds=1)
    assert send(at=begun) == (0, 1)
    again = WebhookMessage.objects.get().due_at
    assert second < again - begun < timedelta(seconds=30)
    assert send(at=again - second) == (0, 0)
    assert send(at=again + second) == (0, 1)
    last = WebhookMessage.objects.get().due_at
    assert last - again > 2 * (again - begun)
    assert send(at=last - second) == (0, 0)
    assert send(at=last + second) == (1, 0)
    assert receiver.ids == [str(event.id)] * 3
    assert len({request.body for request in receiver.requests}) == 1
    assert len({request.headers["webhook-timestamp"] for request in receiver.requests}) == 3
    log = WebhookDelivery.objects.order_by("number").values_list("number", "succeeded", "http_code", "problem")
    assert list(log) == [(1, False, 500, "answered 500"), (2, False, 503, "answered 503"), (3, True, 200, "")]


def test_pauses_grow_over_about_three_days_with_at_least_ten_attempts():
    assert schedule.MOST_ATTEMPTS >= 10
    assert schedule.PAUSES[0] * 1.1 <= timedelta(seconds=30)
    assert list(schedule.PAUSES) == sorted(schedule.PAUSES)
    assert timedelta(days=2.8) < sum(schedule.PAUSES, timedelta()) < timedelta(days=3.2)


@pytest.mark.parametrize(
    ("act", "code", "problem"),
    [
        pytest.param(acts.silent(100), None, "no answer within", id="says nothing"),
        pytest.param(acts.drips_head, None, "no answer within", id="drips the head"),
        pytest.param(acts.closes, None, "closed before an answer", id="hangs up"),
        pytest.param(acts.nonsense, None, "not HTTP", id="not HTTP"),
        pytest.param(
            acts.respond(302, Location="http://169.254.169.254/latest"),
            302,
            "redirects are not followed",
            id="redirects",
        ),
        pytest.param(acts.respond(404, b"x" * 100_000), 404, "answered 404", id="a long answer"),
    ],
)
def test_what_a_receiver_does_wrong_is_a_failed_attempt_with_its_reason(
    customer, endpoint, receiver, monkeypatch, act, code, problem
):
    receiver.answers = [act]
    tell(customer)
    with monkeypatch.context() as patch:
        patch.setattr(transport, "SECONDS", 1.0 if problem == "no answer within" else 60.0)
        assert send() == (0, 1)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.succeeded, delivery.http_code) == (False, code)
    assert problem in delivery.problem and len(delivery.response) <= 1000 and delivery.duration_ms < 50_000
    assert len(receiver.requests) == 1
    assert send(timedelta(minutes=1)) == (1, 0)  # and nothing is lost


@pytest.mark.parametrize("act", [acts.drips_body, acts.respond(204), acts.respond(202, b"\0\xff taken")])
def test_any_2xx_counts_from_its_first_line_on(customer, endpoint, receiver, monkeypatch, act):
    monkeypatch.setattr(transport, "_EXCERPT_SECONDS", 0.3)
    receiver.answers = [act]
    tell(customer)
    assert send() == (1, 0)
    assert WebhookDelivery.objects.get().duration_ms < 50_000


def test_a_receiver_that_is_away_is_a_failed_attempt(customer, endpoint, receiver):
    receiver.server.server_close()
    tell(customer)
    assert send() == (0, 1)
    # what is refused by nobody at the port may also look like this, when the port was only just given up
    seldom = "the connection was closed before an answer came"
    assert WebhookDelivery.objects.get().problem in ("no connection", seldom)


def test_a_slow_endpoint_keeps_no_other_waiting_and_each_gets_its_news_in_order(
    customer, endpoint, receiver, monkeypatch
):
    other = acts.start_receiver()
    make_endpoint(customer, other.url)
    run_is_over = threading.Event()

    def say_nothing_until_the_others_have_theirs(handler):
        wait_until(lambda: len(other.ids) == 5)
        run_is_over.set()
        acts.closes(handler)

    monkeypatch.setattr(sending, "time", SimpleNamespace(monotonic=lambda: 1000.0 if run_is_over.is_set() else 0.0))
    monkeypatch.setattr(transport, "SECONDS", 300)
    receiver.answers = [say_nothing_until_the_others_have_theirs]
    events = [tell(customer) for _ in range(5)]
    assert send() == (5, 1)
    run_is_over.clear()
    assert other.ids == [str(event.id) for event in events]
    assert receiver.ids == other.ids[:1]
    assert send() == (4, 0)
    assert receiver.ids == other.ids
    other.server.shutdown()


def test_after_ten_messages_given_up_in_a_row_the_endpoint_is_disabled_and_its_owners_are_told_once(
    customer, endpoint, receiver, monkeypatch
):
    monkeypatch.setattr("outbox.webhooks.outcomes.MOST_ATTEMPTS", 1)
    owner = make_user()
    customer.memberships.create(user=owner, role="owner")
    receiver.answers = [500] * 9 + [200] + [500] * 30
    for _ in range(10):
        tell(customer)
    assert send() == (1, 9)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.failures) == (True, 0)
    row = [tell(customer) for _ in range(12)]
    assert send() == (0, 10)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.off_reason) == (False, "failing")
    states = WebhookMessage.objects.values_list("state", flat=True)
    assert sorted(states) == ["delivered"] + ["failed"] * 19 + ["missed"] * 2
    event = tell(customer)
    assert send(timedelta(days=1)) == (0, 0)
    assert WebhookMessage.objects.get(event_id=event.id).state == "missed"
    assert EmailDelivery.objects.filter(recipient=owner.email, subject__contains="webhook").count() == 1
    send_emails(at=timezone.now())
    assert str(endpoint.id) in mail.outbox[-1].body and endpoint.secret not in mail.outbox[-1].body
    assert DomainEvent.objects.filter(type="webhook.endpoint_disabled").count() == 1
    receiver.answers.clear()
    before = len(receiver.requests)
    enable_endpoint(endpoint_id=endpoint.id, **by(customer))
    assert send() == (13, 0)  # the ten that it was disabled for, then the three that it missed
    assert receiver.ids[before:] == [*(str(each.id) for each in row), str(event.id)]
    assert replay_missed(endpoint_id=endpoint.id, **by(customer)) == 9  # of before the last one that it took
    assert send() == (9, 0)
    assert WebhookMessage.objects.exclude(state="delivered").count() == 0


def test_what_was_given_up_long_ago_waits_until_somebody_asks_for_it(customer, endpoint, receiver, monkeypatch):
    monkeypatch.setattr("outbox.webhooks.outcomes.MOST_ATTEMPTS", 1)
    monkeypatch.setattr("outbox.webhooks.outcomes.MOST_FAILURES", 1)
    receiver.answers = [500]
    tell(customer)
    assert send() == (0, 1)
    late = {**by(customer), "at": timezone.now() + timedelta(days=4)}
    enable_endpoint(endpoint_id=endpoint.id, **late)
    assert send(timedelta(days=4)) == (0, 0)
    assert replay_missed(endpoint_id=endpoint.id, **by(customer)) == 1


def test_410_disables_at_once_and_keeps_the_message(customer, endpoint, receiver):
    receiver.answers = [410]
    events = [tell(customer) for _ in range(3)]
    assert send() == (0, 1)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.off_reason) == (False, "gone")
    assert set(WebhookMessage.objects.values_list("state", flat=True)) == {"missed"}
    enable_endpoint(endpoint_id=endpoint.id, **by(customer))
    assert send() == (3, 0)
    assert receiver.ids[1:] == [str(event.id) for event in events]


def test_what_was_missed_long_ago_waits_until_somebody_asks_for_it(customer, endpoint, receiver):
    receiver.answers = [410]
    tell(customer)
    send()
    WebhookMessage.objects.update(created_at=timezone.now() - timedelta(days=4))
    enable_endpoint(endpoint_id=endpoint.id, **by(customer))
    assert send() == (0, 0)
    assert replay_missed(endpoint_id=endpoint.id, since=timezone.now() - timedelta(days=1), **by(customer)) == 0
    assert replay_missed(endpoint_id=endpoint.id, **by(customer)) == 1
    assert send() == (1, 0)


def test_what_was_delivered_is_sent_again_only_when_asked_for_with_the_same_id_and_bytes(customer, endpoint, receiver):
    event = tell(customer)
    send()
    assert replay_missed(endpoint_id=endpoint.id, **by(customer)) == 0
    assert send(timedelta(days=2)) == (0, 0)
    replay_message(message_id=WebhookMessage.objects.get().id, **by(customer))
    assert send() == (1, 0)
    assert redeliver_event(event_id=event.id, **by(customer)) == 1
    assert send() == (1, 0)
    first, second, third = receiver.requests
    assert receiver.ids == [str(event.id)] * 3 and first.body == second.body == third.body


def test_while_a_secret_is_replaced_both_verify_and_afterwards_only_the_new_one(customer, endpoint, receiver):
    old = endpoint.secret
    new = rotate_secret(endpoint_id=endpoint.id, overlap=timedelta(hours=1), **by(customer)).secret
    assert new != old
    tell(customer)
    send()
    for secret in (old, new, utf8(old), utf8(new)):
        assert verified(receiver.requests[0], secret)
    send_test(endpoint_id=endpoint.id, **by(customer))
    assert send(timedelta(hours=2)) == (1, 0)
    late = receiver.requests[1]
    assert len(late.headers["webhook-signature"].split(" ")) == 2


def test_a_test_message_is_signed_like_every_other(customer, endpoint, receiver):
    send_test(endpoint_id=endpoint.id, **by(customer))
    assert send() == (1, 0)
    assert verified(receiver.requests[0], endpoint.secret)["type"] == "webhook.test"


def test_no_log_line_names_a_secret_or_a_payload(customer, endpoint, receiver, caplog, capfd):
    caplog.set_level("DEBUG")
    receiver.answers = [500, acts.closes]
    tell(customer, amount="123.456789")
    send()
    send(timedelta(minutes=1))
    said = caplog.text + "".join(capfd.readouterr())
    assert endpoint.secret not in said and "123.456789" not in said


def test_an_endpoint_whose_secret_no_key_reads_keeps_no_other_waiting(customer, endpoint, receiver, settings):
    other = make_customer()
    settings.FIELD_ENCRYPTION_KEYS = ["another key", *settings.FIELD_ENCRYPTION_KEYS]
    make_endpoint(other, receiver.url)
    settings.FIELD_ENCRYPTION_KEYS = ["another key"]
    tell(customer), tell(other)
    assert send() == (1, 0)
    assert WebhookMessage.objects.get(endpoint=endpoint.id).attempts == 0
