"""Endpoints, news and a receiver."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.principal import Actor
from outbox.services import dispatch_events, publish
from outbox.webhooks import sending
from outbox.webhooks.services import Wish, create_endpoint
from tests.builders import make_customer
from tests.outbox.webhooks.receiver import start_receiver

BOSS = Actor("boss@example.com")


@pytest.fixture(autouse=True)
def nothing_leaves_by_itself(monkeypatch, settings):
    """Each test says when there is a sender; the stand-in receiver is on loopback."""
    monkeypatch.setattr("outbox.webhooks.soon._send", lambda: None)
    settings.WEBHOOKS_ALLOW_LOOPBACK = True


@pytest.fixture
def receiver():
    receiver = start_receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def customer(db):
    return make_customer()


@pytest.fixture
def endpoint(customer, receiver):
    return make_endpoint(customer, receiver.url)


def make_endpoint(organization, url, *events):
    wish = Wish(url=url, name="", events=events or ("credits.granted", "tier.changed"))
    return create_endpoint(organization_id=organization.id, wish=wish, actor=BOSS, at=timezone.now())


def tell(organization, type="credits.granted", **data):
    """Publish a domain event and hand it on."""
    event = publish(type=type, organization_id=organization.id, data={"amount": "5", **data}, actor="test")
    dispatch_events(at=timezone.now())
    return event


def send(after=timedelta(0), at=None):
    """A run of the sender at a time that lies ``after`` from now, or all of it ``at`` one; it may take its time."""
    tally = sending.send_webhooks(clock=lambda: at or timezone.now() + after, seconds=600)
    return tally.delivered, tally.failed
