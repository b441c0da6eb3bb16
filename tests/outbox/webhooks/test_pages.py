"""The pages and the API of webhooks: the secret once, the log, replay, and nothing for strangers or mere members."""

import json

import pytest
from django.utils import timezone

from outbox.models import DomainEvent, WebhookEndpoint, WebhookMessage
from outbox.webhooks import registry
from tests.api.caller import Caller
from tests.builders import make_user, sign_in
from tests.outbox.webhooks.conftest import make_endpoint, send, tell

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(customer):
    person = make_user()
    customer.memberships.create(user=person, role="owner")
    return sign_in(person, customer)


def test_an_owner_adds_an_endpoint_sees_its_secret_once_and_what_it_was_told(owner, customer, receiver):
    assert b"No endpoint yet" in owner.get("/webhooks/").content
    answer = owner.post("/webhooks/new/", {"url": receiver.url, "name": "Billing", "own": ["credits.granted"]})
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in answer.content.decode() and "no-store" in answer["Cache-Control"]
    event = tell(customer)
    send()
    message = WebhookMessage.objects.get()
    for page in ("/webhooks/", f"/webhooks/{endpoint.id}/", f"/webhooks/messages/{message.id}/"):
        answer = owner.get(page)
        assert answer.status_code == 200 and endpoint.secret not in answer.content.decode()
    assert str(event.id) in owner.get(f"/webhooks/messages/{message.id}/").content.decode()
    owner.post(f"/webhooks/messages/{message.id}/replay/")
    owner.post(f"/webhooks/{endpoint.id}/test/")
    assert send() == (2, 0)
    old = endpoint.secret
    answer = owner.post(f"/webhooks/{endpoint.id}/rotate/", {"overlap": "24"})
    endpoint.refresh_from_db()
    assert endpoint.secret != old and endpoint.secret in answer.content.decode()
    owner.post(f"/webhooks/{endpoint.id}/switch/", {"off": "1"})
    tell(customer)
    assert b"1 lost" not in owner.get(f"/webhooks/{endpoint.id}/").content
    owner.post(f"/webhooks/{endpoint.id}/switch/", {"on": "1"})
    assert send() == (1, 0)
    owner.post(f"/webhooks/{endpoint.id}/change/", {"url": receiver.url, "name": "", "own": ["credits.low"]})
    endpoint.refresh_from_db()
    assert endpoint.events == ["credits.low"]
    owner.post(f"/webhooks/{endpoint.id}/delete/")
    assert not WebhookEndpoint.objects.exists() and not WebhookMessage.objects.exists()
    told = DomainEvent.objects.filter(type__startswith="webhook.").values_list("type", flat=True)
    kinds = ("created", "deleted", "disabled", "enabled", "replayed", "secret_rotated", "updated")
    assert sorted(told) == [f"webhook.endpoint_{kind}" for kind in kinds]


def test_a_refusal_stands_beside_its_field(owner):
    answer = owner.post("/webhooks/new/", {"url": "https://10.0.0.1/", "own": ["credits.low"]}).content.decode()
    assert "a private address" in answer
    assert "Choose at least one" in owner.post("/webhooks/new/", {"url": "https://example.com/"}).content.decode()
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("role", ["member", "viewer", "billing"])
def test_who_does_not_manage_the_organization_sees_no_webhooks(customer, endpoint, role):
    person = make_user()
    customer.memberships.create(user=person, role=role)
    client = sign_in(person, customer)
    for page in ("/webhooks/", "/webhooks/new/", f"/webhooks/{endpoint.id}/"):
        assert client.get(page).status_code == 403


def test_through_the_api_from_the_first_endpoint_to_the_last_replay(customer, receiver):
    caller = Caller(customer)
    body = {"url": receiver.url, "events": ["credits.granted"]}
    status, made = caller.ask("POST", "webhooks/endpoints", body)
    secret = made.pop("secret")
    assert status == 201 and secret.startswith("whsec_") and made["events"] == ["credits.granted"]
    path = f"webhooks/endpoints/{made['id']}"
    assert caller.ask("GET", path) == (200, made)
    assert caller.ask("GET", "webhooks/endpoints")[1]["data"] == [made]
    tell(customer)
    receiver.answers = [500]
    send()
    [attempt] = caller.ask("GET", f"webhooks/deliveries?succeeded=false&endpoint={made['id']}")[1]["data"]
    assert (attempt["http_code"], attempt["problem"], attempt["number"]) == (500, "answered 500", 1)
    [message] = caller.ask("GET", "webhooks/messages?state=waiting")[1]["data"]
    assert message["next_attempt_at"] > message["created_at"] and message["last_http_code"] == 500
    assert caller.ask("POST", f"{path}/disable", {})[1]["disabled_reason"] == "switched_off"
    for refused in (f"{path}/test", f"{path}/replay", f"webhooks/messages/{message['id']}/replay"):
        assert caller.ask("POST", refused, {})[1]["code"] == "webhook_endpoint_off"
    assert caller.ask("POST", f"{path}/enable", {"replay": False})[1]["enabled"] is True
    assert send() == (0, 0)
    assert caller.ask("POST", f"{path}/replay", {}) == (202, {"messages": 1})
    assert send() == (1, 0)
    assert caller.ask("POST", f"webhooks/messages/{message['id']}/replay", {})[0] == 202
    assert caller.ask("POST", f"{path}/test", {})[1]["type"] == "webhook.test"
    assert send() == (2, 0)
    status, rotated = caller.ask("POST", f"{path}/rotate", {"overlap_seconds": 60})
    assert status == 200 and rotated["secret"] != secret and rotated["old_secret_ends_at"]
    assert caller.ask("PATCH", path, {"name": "Mine"})[1]["name"] == "Mine"
    assert caller.ask("DELETE", path)[0] == 204 and caller.ask("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        pytest.param({"url": "nonsense", "events": ["credits.low"]}, "url", "url_refused", id="no address"),
        pytest.param({"url": "https://[::1]/", "events": ["credits.low"]}, "url", "url_refused", id="ourselves"),
        pytest.param({"url": "https://example.com/", "events": []}, "events", "min_length", id="of nothing"),
        pytest.param({"url": "https://example.com/", "events": ["credits.*"]}, "events", "unknown_type", id="unknown"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_by_its_field(customer, settings, body, field, code):
    settings.WEBHOOKS_ALLOW_LOOPBACK = False
    status, problem = Caller(customer).ask("POST", "webhooks/endpoints", body)
    assert status == 400 and (problem["errors"][0]["field"], problem["errors"][0]["code"]) == (field, code)
    assert not WebhookEndpoint.objects.exists()


def test_an_organization_has_only_so_many_endpoints(customer, receiver, monkeypatch):
    monkeypatch.setattr("outbox.webhooks.services.MOST_ENDPOINTS", 2)
    make_endpoint(customer, receiver.url), make_endpoint(customer, receiver.url)
    body = {"url": receiver.url, "events": ["credits.low"]}
    assert Caller(customer).ask("POST", "webhooks/endpoints", body)[1]["code"] == "too_many_endpoints"


def test_the_types_of_news_are_listed_in_words(customer):
    listed = {each["name"]: each for each in Caller(customer).ask("GET", "webhooks/event-types")[1]["types"]}
    assert listed["usage.recorded"]["api_version"] is None and listed["credits.low"]["description"]
    assert set(listed) == {each.name for each in registry.types()}


def test_the_wires_news_are_told_in_the_envelope_that_its_clients_know(customer, receiver, monkeypatch):
    monkeypatch.setattr(registry, "_types", dict(registry._types))
    registry.register_payload("sketch.drawn", lambda event: b'{"n":1.5}' if event.data["kept"] else None)
    endpoint = make_endpoint(customer, receiver.url, "sketch.drawn")
    at = timezone.now()
    tell(customer, "billing.sketch.drawn", kept=True)
    tell(customer, "billing.sketch.drawn", kept=False)
    assert send() == (1, 0)
    body = json.loads(receiver.requests[0].body)
    assert body == {
        "type": "sketch.drawn",
        "timestamp": body["timestamp"],
        "api_version": "2026-10",
        "data": {"n": 1.5},
    }
    assert body["timestamp"].endswith("Z") and body["timestamp"][:10] == f"{at:%Y-%m-%d}"
    assert endpoint.messages.count() == 1
