import asyncio
from decimal import Decimal

import pytest

from sandbox.books import hash_of
from tests.sandbox.asking import ask, chat_body, make_key, open_raw, read_until

QUESTION = "[[prompt=1000 tokens=200]]"


def control(sandbox, method, path, body=None):
    status, answer, _ = sandbox.call(method, f"/_sandbox/{path}", body)
    return status, answer


def test_books_can_be_filtered_by_key_day_model_and_call(sandbox):
    key, hash_ = make_key(sandbox, name="acme")
    sandbox.set_clock(now="2026-12-01T12:00:00Z")
    first = ask(sandbox, "openai/gpt-4o-mini", QUESTION, key=key)[1]
    sandbox.set_clock(now="2026-12-02T12:00:00Z")
    ask(sandbox, "openai/gpt-4o-mini", QUESTION, key=key)
    ask(sandbox, "sandbox/chat", QUESTION)
    assert sandbox.books()["totals"]["requests"] == 3
    assert sandbox.books(key=hash_)["totals"]["usage"] == "0.00054"
    day = sandbox.books(key=hash_, day="2026-12-01")
    assert (day["totals"]["requests"], day["rows"][0]["name"]) == (1, "acme")
    assert sandbox.books(model="sandbox/chat")["totals"]["usage"] == "0.0014"
    assert [record["id"] for record in sandbox.generations(day="2026-12-01")] == [first["id"]]
    record = sandbox.generations(id=first["id"])[0]
    assert (record["cost"], record["key"]) == ("0.00027", hash_of(key))
    assert sandbox.usage(key=key) == Decimal("0.00054")
    assert control(sandbox, "GET", "books?generations=1&day=x")[0] == 400


def test_reset_forgets_everything_but_the_seeded_keys(sandbox):
    key, _ = make_key(sandbox)
    ask(sandbox, "sandbox/chat", key=key)
    sandbox.set_fault("429", times=10)
    sandbox.set_clock(offset=1_000_000)
    sandbox.reset()
    assert sandbox.books()["totals"]["requests"] == 0
    assert ask(sandbox, "sandbox/chat", key=key)[0] == 401
    assert ask(sandbox, "sandbox/chat")[0] == 200
    assert len(sandbox.requests()) == 2


def test_a_call_that_was_running_at_a_reset_is_in_no_books(sandbox):
    with open_raw(sandbox, chat_body("sandbox/chat", "[[first=0.3]]")) as connection:
        read_until(connection, b"\r\n\r\n")
        sandbox.reset()
        read_until(connection, b'"usage"')
    assert sandbox.books()["totals"]["requests"] == 0


def test_requests_are_shown_as_they_came_without_their_keys(sandbox):
    ask(sandbox, "sandbox/chat", "hello", user="u-1", provider={"max_price": {"prompt": 1}})
    seen = sandbox.requests()[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/api/v1/chat/completions")
    assert '"max_price"' in seen["body"]
    assert "authorization" not in seen["headers"]
    assert sandbox.settings.api_key not in str(sandbox.requests())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", {"kind": "nonsense"}),
        ("POST", "faults", {}),
        ("POST", "faults", b"{"),
        ("POST", "clock", {}),
        ("POST", "clock", {"now": "soon"}),
        ("POST", "settings", {"nonsense": 1}),
        ("POST", "settings", {"generation_delay": "long"}),
        ("POST", "settings", {"in_flight_budget": "much"}),
    ],
)
def test_orders_that_make_no_sense_are_refused(sandbox, method, path, body):
    assert control(sandbox, method, path, body)[0] == 400


def test_faults_can_be_listed(sandbox):
    sandbox.set_fault("429", times=2)
    answer = control(sandbox, "GET", "faults")[1]
    assert answer["forced"][0]["times"] == 2
    assert "cut-billed" in answer["kinds"]


def test_health_tells_the_process_and_the_time(sandbox):
    status, answer = control(sandbox, "GET", "health")
    assert (status, answer["status"]) == (200, "ok")


@pytest.mark.parametrize("client", [("10.0.0.1", 5000), None])
def test_the_control_endpoint_is_there_for_this_machine_only(sandbox, client):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/_sandbox/books",
        "query_string": b"",
        "headers": [],
        "client": client,
    }
    asyncio.run(sandbox.app(scope, receive, send))
    assert sent[0]["status"] == 404
