"""The ASGI route and the view answer alike; requests that arrive together share a statement."""

import asyncio
import json
from collections import Counter

import pytest
from django.db import OperationalError

from credits.models import CreditAccount
from metering.ingest.asgi import Ingest
from metering.models import UsageEvent
from metering.services import record_usage as record
from tests.builders import usd
from tests.metering.reporting import Reporter, make_model, make_reporter
from tests.metering.sums import counted, stored
from tiers.models import Subscription, Tier

pytestmark = pytest.mark.django_db(transaction=True)

LEFT_TO_DJANGO = 299


async def otherwise(scope, receive, send):
    await send({"type": "http.response.start", "status": LEFT_TO_DJANGO, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def call(app, path, body, headers, method="POST", pieces=1):
    """Status, headers and body of one request, sent in ``pieces``."""
    size = -(-len(body) // pieces) or 1
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    incoming = [{"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]} for chunk in chunks]
    sent = []

    async def receive():
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": f"/api/v1/{path}", "headers": raw, "client": ("127.0.0.1", 5)}
    await app(scope, receive, send)
    if not sent:
        return None
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], names, b"".join(message["body"] for message in sent[1:])


def run(*requests, **options):
    """The answers of requests made at one instant; each is (path, body, headers)."""

    async def all_of_them():
        app = Ingest(otherwise)
        try:
            return await asyncio.gather(*(call(app, *request, **options) for request in requests))
        finally:
            await app.close()

    return asyncio.run(all_of_them())


def headers(reporter, **more):
    return {"authorization": f"Bearer {reporter.secret}", "content-type": "application/json", **more}


def text(body):
    return json.dumps(body).encode()


EVENTS = [
    {"name": "x", "cost": "1"},
    {"name": "x", "prompt_tokens": -1},
    {"name": "x", "cost": "50"},
    {"kind": "chat", "model": "vendor/unknown", "prompt_tokens": 1},
    {"kind": "chat", "model": "vendor/model", "prompt_tokens": 1000},
]
BODIES = [
    *(("metering/track", text(event)) for event in EVENTS),
    ("metering/track", b"{"),
    ("metering/track", b""),
    ("metering/track", b'{"name": "' + b"x" * 70_000 + b'"}'),
    ("metering/track/batch", text({"events": EVENTS})),
    ("metering/track/batch", text({"events": EVENTS[:1]})),
    ("metering/track/batch", text({"events": []})),
    ("metering/track/batch", b"[]"),
]


def comparable(status, content_type, body):
    document = json.loads(body)
    for part in [document, *document.get("results", [])]:
        part.pop("event_id", None)
        part.pop("request_id", None)
    return status, content_type, document


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_the_asgi_route_answers_as_the_view_does(path, body):
    make_model()
    one, other = make_reporter(), make_reporter()
    response = Reporter(one).client.generic("POST", f"/api/v1/{path}", body, content_type="application/json")
    by_view = comparable(response.status_code, response.headers["content-type"], response.content)
    [(status, names, answer)] = run((path, body, headers(Reporter(other))))
    assert comparable(status, names["content-type"], answer) == by_view
    balances = [CreditAccount.objects.get(pk=organization.pk).balance for organization in (one, other)]
    assert balances[0] == balances[1]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"authorization": "Bearer fbx_live_nonsense"}, 401, "invalid_api_key"),
        ({"authorization": "Basic abc"}, 401, "invalid_api_key"),
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-length": "99999999999"}, 413, "payload_too_large"),
    ],
)
def test_what_is_wrong_around_the_body_is_refused_alike(change, status, code):
    reporter = Reporter(make_reporter())
    [(got, names, answer)] = run(("metering/track", b'{"name":"x"}', headers(reporter, **change)))
    assert (got, json.loads(answer)["code"]) == (status, code)
    assert names["content-type"] == "application/problem+json"
    assert ("www-authenticate" in names) == (status == 401)
    assert UsageEvent.objects.count() == 0


def test_the_scope_is_needed_here_too():
    [(status, _, answer)] = run(
        ("metering/track", b'{"name":"x"}', headers(Reporter(make_reporter(), scopes=("usage:read",))))
    )
    assert (status, json.loads(answer)["required_scope"]) == (403, "usage:write")


def test_requests_are_counted_against_the_keys_limit():
    reporter = Reporter(make_reporter(), requests_per_minute=2)
    request = ("metering/track", b'{"name":"x"}', headers(reporter))
    answers = run(request, request, request)
    assert sorted(status for status, _, _ in answers) == [201, 201, 429]
    [refused] = [names for status, names, _ in answers if status == 429]
    assert int(refused["retry-after"]) >= 1
    assert all("ratelimit" in names for _, names, _ in answers)


@pytest.mark.parametrize(
    ("method", "change", "without"),
    [("GET", {}, ()), ("POST", {"idempotency-key": "k"}, ()), ("POST", {"cookie": "sessionid=x"}, ("authorization",))],
)
def test_requests_of_another_kind_are_left_to_django(method, change, without):
    every = headers(Reporter(make_reporter()), **change)
    kept = {name: value for name, value in every.items() if name not in without}
    [(status, _, _)] = run(("metering/track", b"{}", kept), method=method)
    assert status == LEFT_TO_DJANGO


def test_a_body_in_pieces_is_put_together():
    body = text({"name": "x", "metadata": {"a": "b" * 1000}})
    [(status, _, _)] = run(("metering/track", body, headers(Reporter(make_reporter()))), pieces=7)
    assert (status, UsageEvent.objects.get().metadata) == (201, {"a": "b" * 1000})


def test_a_body_that_breaks_off_reports_nothing_and_is_answered_for_whoever_still_listens():
    statuses = []

    async def leave():
        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            statuses.append(message.get("status"))

        app = Ingest(otherwise)
        raw = [(name.encode(), value.encode()) for name, value in headers(reporter).items()]
        path = "/api/v1/metering/track"
        await app({"type": "http", "method": "POST", "path": path, "headers": raw, "client": None}, receive, send)
        await app.close()

    reporter = Reporter(make_reporter())
    asyncio.run(leave())
    assert (statuses, UsageEvent.objects.count()) == ([400, None], 0)


def test_many_requests_at_once_share_statements_and_each_gets_its_own_answer(monkeypatch):
    statements = []

    def counting(events, *, at):
        statements.append(len(events))
        return record(events, at=at)

    monkeypatch.setattr("metering.ingest.reports.record_usage", counting)
    reporters = [Reporter(make_reporter("10", components=())) for _ in range(3)]
    requests = [
        ("metering/track", text({"external_id": f"e{n}", "name": "x", "cost": "0.5"}), headers(reporters[n % 3]))
        for n in range(75)
    ]
    answers = run(*requests)
    assert Counter(status for status, _, _ in answers) == {201: 60, 402: 15}
    assert [json.loads(body)["external_id"] for status, _, body in answers if status == 201] == [
        f"e{n}" for n, (status, _, _) in enumerate(answers) if status == 201
    ]
    assert sum(statements) == 75
    assert len(statements) < 40
    wallets = CreditAccount.objects.filter(pk__in=[reporter.key.organization_id for reporter in reporters])
    assert {wallet.balance for wallet in wallets} == {0}
    assert stored() == counted()


def test_one_request_that_fails_does_not_fail_the_others(monkeypatch):
    def fail_on_poison(events, *, at):
        if any(event.name == "poison" for event in events):
            raise RuntimeError("poison")
        return record(events, at=at)

    monkeypatch.setattr("metering.ingest.reports.record_usage", fail_on_poison)
    reporter = Reporter(make_reporter())
    names = ["a", "b", "poison", "c"]
    answers = run(*(("metering/track", text({"name": name}), headers(reporter)) for name in names))
    assert [status for status, _, _ in answers] == [201, 201, 500, 201]
    document = json.loads(answers[2][2])
    assert (document["code"], "poison" in str(document)) == ("internal_error", False)


def test_a_lost_answer_of_the_database_records_nothing_twice(monkeypatch):
    def record_then_lose(events, *, at):
        outcomes = record(events, at=at)
        if not lost:
            lost.append(True)
            raise OperationalError("server closed the connection unexpectedly")
        return outcomes

    lost = []
    monkeypatch.setattr("metering.ingest.reports.record_usage", record_then_lose)
    organization = make_reporter("10", components=())
    events = [{"name": "x", "cost": "1"}, {"name": "x"}, {"external_id": "a", "name": "x", "cost": "1"}]
    [(status, _, body)] = run(("metering/track/batch", text({"events": events}), headers(Reporter(organization))))
    assert (status, [one["status"] for one in json.loads(body)["results"]]) == (
        200,
        ["recorded", "recorded", "recorded"],
    )
    assert (UsageEvent.objects.count(), CreditAccount.objects.get(pk=organization.pk).balance) == (3, usd("8"))
    assert stored() == counted()


def test_an_organization_without_a_tier_is_refused_alone():
    lost, other = make_reporter(), make_reporter()
    reporters = [Reporter(lost), Reporter(other)]
    Subscription.objects.filter(organization=lost).delete()
    Tier.objects.update(is_default=False)
    answers = run(*(("metering/track", b'{"name":"x"}', headers(reporter)) for reporter in reporters))
    assert [status for status, _, _ in answers] == [403, 201]
    assert json.loads(answers[0][2])["code"] == "no_tier"


async def test_a_large_batch_does_not_wait_behind_another_while_a_lane_is_idle():
    app = Ingest(otherwise)
    working = app._lane(1 << 20)
    working._under_way = 1
    assert app._lane(1 << 20) is not working
    await app.close()
