"""Requests that no honest client sends get a clear answer in JSON, call nobody and move nothing."""

import json
import socket

import pytest

from tests.openrouter.gateway.conftest import make_buyer
from tests.openrouter.gateway.serving import HOST

pytestmark = pytest.mark.django_db(transaction=True)
MALFORMED = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b"\xff\xfe",
    b'{"model": "sandbox/chat"}',
    b'{"model": 7, "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "", "messages": [{"role": "user", "content": "x"}]}',
    b'{"messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "sandbox/chat", "messages": []}',
    b'{"model": "sandbox/chat", "models": "sandbox/tool", "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "max_tokens": -1}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1.5}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "max_tokens": NaN}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "provider": []}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "provider": {"max_price": 3}}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}],'
    b' "provider": {"max_price": {"prompt": -2}}}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "n": 0}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "service_tier": "golden"}',
    b'{"model": "sandbox/chat", "messages": [{"role": "user", "content": "x"}], "plugins": [{"id": "unknown"}]}',
    b'{"model": "sandbox/chat", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"model": "sandbox/chat\\r\\nX-Injected: 1", "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "\' OR 1=1 --", "messages": [{"role": "user", "content": "x"}]}',
]


@pytest.fixture(scope="module")
def shared_buyer(served, sandbox, world, django_db_blocker):
    with django_db_blocker.unblock():
        return make_buyer(served, sandbox)


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: body[:80].decode("latin-1"))
def test_a_malformed_body_is_refused(shared_buyer, body):
    answer = shared_buyer.request("POST", "/chat/completions", body)
    assert answer.status in (400, 404), answer.body[:200]
    assert answer.error["code"] == answer.status
    assert answer.error["message"]
    assert shared_buyer.generations == []
    assert (shared_buyer.account.balance, shared_buyer.account.held) == (10, 0)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(shared_buyer, settings):
    settings.GATEWAY_LARGEST_BODY = 1000
    answer = shared_buyer.chat(text="x" * 2000)
    assert (answer.status, answer.error["type"]) == (413, "payload_too_large")


def test_of_a_repeated_member_only_the_last_one_counts_here_and_there(customer):
    buyer = customer()
    body = (
        b'{"model": "openai/gpt-4o", "max_tokens": 9, "model": "sandbox/chat", '
        b'"messages": [{"role": "user", "content": "x"}]}'
    )
    assert buyer.request("POST", "/chat/completions", body).status == 200
    assert buyer.event.model == "sandbox/chat"
    assert buyer.generations[0]["model"].startswith("sandbox/chat")


def test_what_is_not_ours_to_change_goes_upstream_as_it_came(customer, sandbox):
    buyer = customer()
    buyer.chat(temperature=0.70, logit_bias={"50256": -100}, top_k=12345678901234567890, x_new={"a": [1, None]})
    sent = json.loads(sandbox.requests()[-1]["body"])
    assert (sent["temperature"], sent["top_k"], sent["x_new"]) == (0.7, 12345678901234567890, {"a": [1, None]})
    assert sent["logit_bias"] == {"50256": -100}
    assert sent["max_tokens"] > 0
    assert sent["provider"]["max_price"] == {"prompt": 1, "completion": 2, "request": 0, "image": 0}


@pytest.mark.parametrize(("method", "path"), [("GET", "/chat/completions"), ("POST", "/models"), ("PUT", "/key")])
def test_a_wrong_method_is_told_the_right_one(shared_buyer, method, path):
    answer = shared_buyer.request(method, path)
    assert answer.status == 405
    assert answer.headers["allow"]
    assert answer.error["code"] == 405


def test_headers_cannot_smuggle_lines_upstream(shared_buyer, served, sandbox):
    """A client that breaks HTTP itself is refused by the server; odd but legal values are not passed on."""
    odd = shared_buyer.chat(headers={"x-title": "caf\u00e9", "http-referer": "https://ok.example"}, max_tokens=5)
    assert odd.status == 200
    seen = sandbox.requests()[-1]["headers"]
    assert "x-title" not in seen
    assert seen["http-referer"] == "https://ok.example"
    with socket.create_connection((HOST, served.port), timeout=60) as raw:
        raw.sendall(
            b"POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-title: a\x00b\r\ncontent-length: 2\r\n\r\n{}"
        )
        assert b" 4" in raw.recv(100)[:14]


def test_the_callers_key_and_cookies_stay_here(customer, sandbox):
    buyer = customer()
    buyer.chat(headers={"cookie": "sessionid=secret", "x-forwarded-for": "1.2.3.4", "x-openrouter-cache": "true"})
    seen = sandbox.requests()[-1]
    text = str(seen)
    assert buyer.secret not in text
    assert "cookie" not in seen["headers"]
    assert "1.2.3.4" not in text


@pytest.mark.parametrize("chunks", [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"-1\r\nabc\r\n"])
def test_chunks_that_are_not_framed_as_http_has_it_are_refused(shared_buyer, chunks):
    before = len(shared_buyer.generations)
    head = (
        f"POST /api/v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {shared_buyer.secret}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((HOST, shared_buyer.port), timeout=60) as connection:
        connection.sendall(head.encode() + chunks)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request"
    assert len(shared_buyer.generations) == before
