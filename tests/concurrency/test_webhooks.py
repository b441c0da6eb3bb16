"""Several senders, and one that dies, on real connections; beside a control that shows what the claims are for."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from outbox.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from outbox.webhooks import claims, sending
from outbox.webhooks.services import disable_endpoint
from tests.builders import make_customer
from tests.concurrency.parallel import PATIENCE, Meeting, run_parallel, wait_until
from tests.outbox.webhooks import receiver as acts
from tests.outbox.webhooks.conftest import BOSS, make_endpoint, send, tell
from tests.outbox.webhooks.conftest import nothing_leaves_by_itself as nothing_leaves_by_itself
from tests.outbox.webhooks.conftest import receiver as receiver

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


def told(receiver, count, endpoints=1):
    customer = make_customer()
    for _ in range(endpoints):
        make_endpoint(customer, receiver.url)
    return [tell(customer) for _ in range(count)]


def test_senders_at_once_send_every_message_once(receiver):
    events = told(receiver, 8, endpoints=4)
    run_parallel([sending.send_webhooks for _ in range(4)])
    while send() != (0, 0):
        pass
    assert sorted(receiver.ids) == sorted([str(event.id) for event in events] * 4)
    assert set(WebhookMessage.objects.values_list("state", flat=True)) == {"delivered"}
    assert WebhookDelivery.objects.count() == 32


def test_without_the_claims_the_same_senders_would_send_messages_twice(receiver, monkeypatch):
    told(receiver, 8)
    everybody = Meeting(4)

    def all_lanes(*, at, limit, without=()):
        """What ``claim_lanes`` finds, taken by nobody."""
        due = WebhookEndpoint.objects.exclude(id__in=without).filter(messages__state="waiting").distinct()
        return [(endpoint.id, claims.uuid7()) for endpoint in due]

    def next_message(*, endpoint_id, lane, at):
        """What ``claim_message`` finds, without a lock and without a lease."""
        endpoint = WebhookEndpoint.objects.get(id=endpoint_id)
        message = WebhookMessage.objects.due(at).in_order().filter(endpoint=endpoint).first()
        everybody.wait()
        if message is None:
            return None
        message.lease, message.attempts = claims.uuid7(), message.attempts + 1
        return claims._attempt(endpoint, message, lane, at)

    monkeypatch.setattr(sending, "claim_lanes", all_lanes)
    monkeypatch.setattr(sending, "claim_message", next_message)
    run_parallel([sending.send_webhooks for _ in range(4)])
    assert len(receiver.ids) > 8


def test_an_endpoint_that_is_switched_off_while_something_is_on_its_way_gets_nothing_more(receiver):
    told(receiver, 3)
    endpoint = WebhookEndpoint.objects.get()

    def switch_off(handler):
        disable_endpoint(
            endpoint_id=endpoint.id, organization_id=endpoint.organization_id, actor=BOSS, at=timezone.now()
        )
        connection.close()
        acts.respond(200)(handler)

    receiver.answers = [switch_off]
    assert send() == (1, 0)
    assert len(receiver.ids) == 1
    assert sorted(WebhookMessage.objects.values_list("state", flat=True)) == ["delivered", "missed", "missed"]


_SENDER = """
import django; django.setup()
from outbox.webhooks import sending
sending.send_webhooks()
"""


def sender_process():
    database = connection.settings_dict
    place = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    address = f"postgres://{database['USER']}:{database['PASSWORD']}@{place}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": address,
        "FIELD_ENCRYPTION_KEYS": ",".join(django_settings.FIELD_ENCRYPTION_KEYS),
        "WEBHOOKS_ALLOW_LOOPBACK": "1",
        "DEBUG": "1",
    }
    return subprocess.Popen([sys.executable, "-c", _SENDER], cwd=ROOT, env=environment)


def test_a_sender_killed_between_the_answer_and_its_note_leaves_the_message_to_the_next_under_the_same_id(receiver):
    [event] = told(receiver, 1)
    process = sender_process()

    def kill(handler):
        """The receiver has it; the sender never hears so."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        acts.respond(200)(handler)

    receiver.answers = [kill]
    assert process.wait(PATIENCE) == -signal.SIGKILL
    wait_until(lambda: receiver.ids)
    message = WebhookMessage.objects.get()
    assert (message.state, message.attempts, WebhookDelivery.objects.count()) == ("waiting", 1, 0)
    second = timedelta(seconds=1)
    assert sending.send_webhooks(clock=lambda: message.due_at - second) == sending.Tally(0)  # the dead sender's lease
    assert sending.send_webhooks(clock=lambda: message.due_at + second) == sending.Tally(1)
    assert receiver.ids == [str(event.id)] * 2
    assert receiver.requests[0].body == receiver.requests[1].body
    delivery = WebhookDelivery.objects.get()
    assert (delivery.number, delivery.succeeded) == (2, True)


def test_an_attempt_that_outlives_its_lease_is_noted_and_its_success_counts(receiver, monkeypatch):
    told(receiver, 1)
    at = timezone.now()
    [(endpoint_id, lane)] = claims.claim_lanes(at=at, limit=5)
    slow = claims.claim_message(endpoint_id=endpoint_id, lane=lane, at=at)
    receiver.answers = [500]
    assert send(claims.LEASE + timedelta(seconds=1)) == (0, 1)  # another sender takes it over, and fails
    from outbox.webhooks.outcomes import record_attempt
    from outbox.webhooks.transport import Answer

    record_attempt(attempt=slow, answer=Answer(200, "", "", 61_000), at=timezone.now())
    assert WebhookMessage.objects.get().state == "delivered"
    assert WebhookDelivery.objects.count() == 2
    assert send(timedelta(days=1)) == (0, 0)
