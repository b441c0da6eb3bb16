"""Webhooks with the unmodified Python clients: they make endpoints, and verify and read everything that is sent."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from polar.v2026_10 import Polar
from spaire_sdk import Spaire, models
from spaire_sdk.webhooks import WebhookVerificationError, validate_event

from billing.services import tell_states
from outbox.services import dispatch_events
from outbox.webhooks.sending import send_webhooks
from tests.billing_api.clients.test_python_guide import buy, ingest, make_meter, make_pro
from tests.outbox.webhooks.receiver import start_receiver

pytestmark = pytest.mark.django_db
BOUGHT = {
    *("checkout.created", "checkout.updated", "customer.created", "order.created", "order.paid"),
    *("subscription.created", "subscription.active", "benefit_grant.created", "customer.state_changed"),
}


@pytest.fixture(autouse=True)
def loopback(settings, monkeypatch):
    settings.WEBHOOKS_ALLOW_LOOPBACK = True
    monkeypatch.setattr("outbox.webhooks.soon._send", lambda: None)


@pytest.fixture
def client(merchant):
    with Spaire(access_token=merchant.token, server_url=merchant.url) as client:
        yield client


@pytest.fixture
def receiver():
    receiver = start_receiver()
    yield receiver
    receiver.server.shutdown()


def make(client, url, *events):
    return client.webhooks.create_webhook_endpoint(request={"url": url, "format": "raw", "events": list(events)})


def deliver():
    """All that waits, also what is gathered for some seconds."""
    later = timezone.now() + timedelta(seconds=20)
    dispatch_events(at=later, limit=1000)
    send_webhooks(clock=lambda: later, seconds=20)


def test_what_a_purchase_brings_about_is_told_once_and_read_by_the_client(client, receiver):
    endpoint = make(client, receiver.url, *BOUGHT)
    assert endpoint.enabled and len(endpoint.secret) >= 24
    product = make_pro(client, make_meter(client))
    buy(client, product)
    ingest(client, 10)
    deliver()
    tell_states(at=timezone.now() + timedelta(seconds=10))
    deliver()
    told = [validate_event(each.body, each.headers, endpoint.secret) for each in receiver.requests]
    assert {each.TYPE for each in told} == BOUGHT
    paid = next(each for each in told if each.TYPE == "order.paid")
    assert paid.data.total_amount == 1000
    state = next(each for each in told if each.TYPE == "customer.state_changed")
    assert state.data.active_meters[0].credited_units == 1000
    for each in receiver.requests:
        body = json.loads(each.body)
        assert list(body) == ["type", "timestamp", "api_version", "data"] and body["api_version"] == "2026-10"
    assert len(set(receiver.ids)) == len(receiver.ids)
    with pytest.raises(WebhookVerificationError):
        validate_event(receiver.requests[0].body + b" ", receiver.requests[0].headers, endpoint.secret)


def test_endpoints_and_their_log_through_the_client(client, receiver):
    endpoint = make(client, receiver.url, "customer.created")
    receiver.answers = [500]
    client.customers.create(request={"email": "ada@example.com", "external_id": "ada"})
    deliver()
    [attempt] = client.webhooks.list_webhook_deliveries(endpoint_id=endpoint.id).result.items
    assert (attempt.succeeded, attempt.http_code, attempt.webhook_event.succeeded) == (False, 500, False)
    assert json.loads(attempt.webhook_event.payload)["data"]["external_id"] == "ada"
    client.webhooks.redeliver_webhook_event(id=attempt.webhook_event.id)
    deliver()
    assert receiver.ids == [attempt.webhook_event.id] * 2
    assert receiver.requests[0].body == receiver.requests[1].body
    assert client.webhooks.list_webhook_deliveries(endpoint_id=endpoint.id, succeeded=True).result.items

    rotated = client.webhooks.reset_webhook_endpoint_secret(id=endpoint.id)
    assert rotated.secret != endpoint.secret
    update = {"events": ["customer.created", "customer.updated"], "enabled": False}
    off = client.webhooks.update_webhook_endpoint(id=endpoint.id, webhook_endpoint_update=update)
    assert (off.enabled, off.events, off.secret) == (False, update["events"], rotated.secret)
    client.customers.create(request={"email": "bob@example.com"})
    deliver()
    assert len(receiver.ids) == 2
    client.webhooks.update_webhook_endpoint(id=endpoint.id, webhook_endpoint_update={"enabled": True})
    deliver()
    missed = receiver.requests[2]
    for secret in (endpoint.secret, rotated.secret):
        assert validate_event(missed.body, missed.headers, secret).data.email == "bob@example.com"

    assert client.webhooks.list_webhook_endpoints().result.items == [
        client.webhooks.get_webhook_endpoint(id=endpoint.id)
    ]
    client.webhooks.delete_webhook_endpoint(id=endpoint.id)
    with pytest.raises(models.ResourceNotFound):
        client.webhooks.get_webhook_endpoint(id=endpoint.id)


def test_what_cannot_be_an_endpoint_is_refused_with_its_place(client, settings):
    settings.WEBHOOKS_ALLOW_LOOPBACK = False
    for url in ("nonsense", "http://example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest"):
        with pytest.raises(models.HTTPValidationError) as refused:
            make(client, url, "order.paid")
        assert refused.value.data.detail[0].loc == ["body", "url"]
    with pytest.raises(models.HTTPValidationError) as refused:
        client.webhooks.get_webhook_endpoint(id="nonsense")
    assert refused.value.data.detail[0].loc == ["path", "id"]


def test_the_versioned_client_reads_endpoints_and_deliveries_too(client, merchant, receiver):
    with Polar(access_token=merchant.token, base_url=merchant.url) as versioned:
        made = versioned.webhooks.create_webhook_endpoint(
            url=receiver.url, format="raw", events=["customer.created"], name="CRM"
        )
        assert (made.name, made.api_version, made.uses_standard_webhook_signature) == ("CRM", "2026-10", False)
        client.customers.create(request={"email": "eve@example.com"})
        deliver()
        assert any(each.succeeded for each in versioned.webhooks.list_webhook_deliveries().items)
