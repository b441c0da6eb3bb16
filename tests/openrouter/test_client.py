"""The management client against the stand-in over HTTP."""

import hashlib
import http.server
import threading
import traceback
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import pytest

from openrouter.client import (
    OpenRouterClient,
    ProviderAnswerInvalid,
    ProviderAnswerLost,
    ProviderError,
    ProviderNotConfigured,
    ProviderNotFound,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnauthorized,
    ProviderUnavailable,
    ProviderUnreachable,
    client_for,
    transport,
)
from openrouter.client.records import read_generation
from openrouter.upstreams import manageable_modes, upstream_for, upstreams
from tests.openrouter.conftest import CUSTOMER_KEY, MANAGEMENT_KEY, SHARED_KEY
from tests.ports import free_port

CHAT = "/api/v1/chat/completions"


@pytest.fixture
def client(provider) -> OpenRouterClient:
    return client_for("live")


def call(provider, key: str, model: str = "openai/gpt-4o-mini", prompt: str = "hello [[tokens=20]]") -> dict:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    status, answer, _ = provider.call("POST", CHAT, body, key=key)
    assert status == 200, answer
    return answer


def written(provider, method: str) -> list[str]:
    return [seen["path"] for seen in provider.requests() if seen["method"] == method]


# ---------------------------------------------------------------- keys


def test_a_made_key_works_and_its_hash_is_the_sha256_of_its_secret(client, provider):
    made = client.create_key(name="Acme", limit=Decimal("12.50"))
    assert made.secret.startswith("sk-or-v1-")
    assert made.key.hash == hashlib.sha256(made.secret.encode()).hexdigest()
    assert (made.key.name, made.key.limit, made.key.limit_remaining) == ("Acme", Decimal("12.5"), Decimal("12.5"))
    assert (made.key.usage, made.key.disabled) == (0, False)
    call(provider, made.secret)


def test_amounts_are_exact_decimals_also_in_exponent_form(client, provider):
    made = client.create_key(name="Acme", limit=Decimal("0.000000000001"))
    assert made.key.limit == Decimal("1e-12")
    billed = call(provider, SHARED_KEY)["usage"]["cost"]
    usage = client.get_key(hashlib.sha256(SHARED_KEY.encode()).hexdigest()).usage
    assert isinstance(usage, Decimal)
    assert usage == billed == provider.usage(key=SHARED_KEY)


def test_a_key_without_limit_says_none(client):
    key = client.create_key(name="Acme", limit=None).key
    assert (key.limit, key.limit_remaining) == (None, None)


def test_a_change_touches_what_it_names_and_null_removes_a_limit(client):
    hash = client.create_key(name="Acme", limit=Decimal(5)).key.hash
    assert client.change_key(hash, disabled=True).limit == 5
    changed = client.change_key(hash, limit=None)
    assert (changed.limit, changed.disabled) == (None, True)


def test_a_deleted_key_is_not_found(client):
    hash = client.create_key(name="Acme", limit=None).key.hash
    client.delete_key(hash)
    with pytest.raises(ProviderNotFound):
        client.get_key(hash)
    with pytest.raises(ProviderNotFound):
        client.delete_key(hash)


def test_the_list_has_all_pages_and_disabled_keys_each_once(client):
    names = {f"key {number}" for number in range(230)}
    for name in names:
        key = client.create_key(name=name, limit=None).key
    client.change_key(key.hash, disabled=True)
    listed = [key.name for key in client.list_keys() if key.name.startswith("key ")]
    assert len(listed) == 230
    assert set(listed) == names


def test_a_key_tells_about_itself(client):
    own = client.own_key(SHARED_KEY)
    assert not own.is_management_key
    assert own.free_quota is not None
    assert client.own_key(MANAGEMENT_KEY).is_management_key
    assert not client.own_key(CUSTOMER_KEY).is_management_key


def test_an_unknown_key_is_unauthorized(client):
    with pytest.raises(ProviderUnauthorized) as refused:
        client.own_key("sk-or-v1-not-a-key-at-all")
    assert refused.value.status == 401


# ---------------------------------------------------------------- money and catalogue


def test_credits_are_exact(client, provider):
    billed = call(provider, SHARED_KEY)["usage"]["cost"]
    credits = client.credits()
    assert credits.total_usage == billed
    assert credits.total_credits == 1_000_000


def test_activity_lists_finished_days_by_model(client, provider):
    provider.set_clock(now="2026-10-05T12:00:00Z")
    billed = [call(provider, SHARED_KEY)["usage"]["cost"] for _ in range(2)]
    provider.set_clock(now="2026-10-06T12:00:00Z")
    [row] = client.activity(day=date(2026, 10, 5))
    assert (row.day, row.permaslug, row.requests) == (date(2026, 10, 5), "openai/gpt-4o-mini", 2)
    assert row.usage == sum(billed)
    assert client.activity(day=date(2026, 10, 5), key_hash="0" * 64) == []


def test_a_day_that_is_not_over_is_refused(client, provider):
    provider.set_clock(now="2026-10-05T12:00:00Z")
    with pytest.raises(ProviderRefused) as refused:
        client.activity(day=date(2026, 10, 5))
    assert refused.value.status == 400


def test_a_generation_names_what_it_cost(client, provider):
    answer = call(provider, SHARED_KEY)
    made = client.generation(answer["id"])
    assert made.total_cost == answer["usage"]["cost"]
    assert made.completion_tokens == answer["usage"]["completion_tokens"]
    assert (made.model, made.is_byok) == ("openai/gpt-4o-mini", False)


@pytest.mark.parametrize("figures", [{"total_cost": -1}, {"total_cost": 10**9}, {"upstream_inference_cost": -1}])
def test_a_record_with_a_cost_that_no_call_has_is_no_answer(figures):
    with pytest.raises(ProviderAnswerInvalid):
        read_generation({"id": "gen-1", "total_cost": 1} | figures)


def test_a_record_holds_nothing_that_the_books_refuse():
    made = read_generation(
        {"id": "gen-1", "total_cost": 1, "model": "a\0b", "tokens_prompt": 10**30, "tokens_completion": -2}
    )
    assert (made.model, made.prompt_tokens, made.completion_tokens) == ("ab", 10**12, 0)


def test_a_late_generation_is_waited_for(client, provider):
    answer = call(provider, SHARED_KEY, prompt="hello [[lookup=0.6]]")
    with pytest.raises(ProviderNotFound):
        client.generation(answer["id"])
    assert client.generation(answer["id"], patience=5).total_cost == answer["usage"]["cost"]


def test_models_of_every_kind_are_listed_once(client):
    models = client.models()
    outputs = {kind for model in models for kind in model["architecture"]["output_modalities"]}
    assert {"text", "embeddings", "speech"} <= outputs
    assert len({model["id"] for model in models}) == len(models)


def test_models_need_no_key(provider):
    assert OpenRouterClient(provider.base_url, "").models()


def test_endpoints_have_prices_of_their_own(client):
    rows = client.endpoints("openai/gpt-oss-120b")
    prices = {row["provider_name"]: row["pricing"]["prompt"] for row in rows}
    assert prices == {"DeepInfra": "0.00000004", "Groq": "0.00000015"}
    with pytest.raises(ProviderNotFound):
        client.endpoints("nobody/nothing")


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("401", ProviderUnauthorized),
        ("404", ProviderNotFound),
        ("409", ProviderRefused),
        ("429", ProviderRateLimited),
        ("500", ProviderUnavailable),
        ("502-html", ProviderUnavailable),
        ("503", ProviderUnavailable),
        ("reset", ProviderAnswerLost),
        ("reset-after", ProviderAnswerLost),
    ],
)
def test_a_write_is_sent_once_and_its_failure_is_typed(client, provider, kind, error):
    provider.set_fault(kind, path="/api/v1/keys", times=3)
    with pytest.raises(error):
        client.create_key(name="Acme", limit=None)
    assert written(provider, "POST") == ["/api/v1/keys"]


def test_only_a_refusal_says_that_nothing_was_done(client, provider):
    outcomes = {}
    for kind in ("409", "429", "500", "reset-after"):
        provider.set_fault(kind, path="/api/v1/keys")
        with pytest.raises(ProviderError) as failed:
            client.create_key(name=f"after {kind}", limit=None)
        outcomes[kind] = failed.value.outcome_unknown
    assert outcomes == {"409": False, "429": False, "500": True, "reset-after": True}
    # The lost answer was to a key that exists.
    assert [key.name for key in client.list_keys() if key.name.startswith("after")] == ["after reset-after"]


@pytest.mark.parametrize("kind", ["429", "500", "502-html", "503", "reset"])
def test_a_read_is_tried_three_times(client, provider, kind):
    provider.set_fault(kind, path="/api/v1/credits", times=2)
    assert client.credits().total_usage == 0
    provider.set_fault(kind, path="/api/v1/credits", times=3)
    with pytest.raises(ProviderError):
        client.credits()


def test_a_refused_read_is_not_tried_again(client, provider):
    provider.set_fault("401", path="/api/v1/credits")
    with pytest.raises(ProviderUnauthorized):
        client.credits()
    assert client.credits().total_usage == 0


def test_an_address_where_nobody_listens_is_unreachable_and_nothing_was_done():
    client = OpenRouterClient(f"http://127.0.0.1:{free_port()}/api/v1", MANAGEMENT_KEY)
    with pytest.raises(ProviderUnreachable) as failed:
        client.create_key(name="Acme", limit=None)
    assert not failed.value.outcome_unknown


def test_a_slow_answer_is_lost(client, provider, monkeypatch):
    monkeypatch.setattr(transport, "READ_SECONDS", 0.3)
    provider.set_fault("hang", path="/api/v1/keys")
    with pytest.raises(ProviderAnswerLost):
        client.create_key(name="Acme", limit=None)


@contextmanager
def server_that_answers(status: int, body: bytes, headers: dict[str, str] | None = None):
    """A server with one answer to everything; yields its address and the headers of the requests it saw."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1", seen
    finally:
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"data":[]}', b'{"data":{"total_usage":"much"}}', b'{"data":{}}', b"[" * 100_000],
    ids=["empty", "html", "list", "rows", "text for a number", "no figure", "nested too deep"],
)
def test_a_success_that_is_not_what_was_promised_is_invalid(body):
    with server_that_answers(200, body) as (url, _), pytest.raises(ProviderAnswerInvalid):
        OpenRouterClient(url, MANAGEMENT_KEY).credits()


def test_characters_that_no_column_takes_cost_neither_the_list_nor_the_rest_of_their_text():
    body = rb'{"data":[{"id":"a/b","name":"cut \ud83d here\u0000, \\u0000 and \ud83d\ude00"},{"id":"c/d"}]}'
    with server_that_answers(200, body) as (url, _):
        [first, second] = OpenRouterClient(url, "").models()
    assert first["name"] == "cut \ufffd here, \\u0000 and \U0001f600"
    assert second["id"] == "c/d"


def test_an_answer_beyond_the_size_we_take_is_dropped(monkeypatch):
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 1000)
    with server_that_answers(200, b" " * 2000) as (url, _), pytest.raises(ProviderAnswerLost):
        OpenRouterClient(url, MANAGEMENT_KEY).credits()


def test_a_redirect_is_not_followed_and_takes_no_key_along():
    with (
        server_that_answers(200, b'{"data":{"total_usage":1}}') as (elsewhere, seen),
        server_that_answers(302, b"", {"Location": elsewhere}) as (url, _),
        pytest.raises(ProviderUnavailable),
    ):
        OpenRouterClient(url, MANAGEMENT_KEY).credits()
    assert seen == []


def test_a_long_retry_after_is_not_slept_through():
    body = b'{"error":{"code":429,"message":"slow down"}}'
    with (
        server_that_answers(429, body, {"Retry-After": "3600"}) as (url, seen),
        pytest.raises(ProviderRateLimited) as refused,
    ):
        OpenRouterClient(url, MANAGEMENT_KEY).credits()
    assert refused.value.retry_after == 3600
    assert len(seen) == 1


def test_a_netrc_file_never_replaces_our_key(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with server_that_answers(200, b'{"data":{"total_usage":1}}') as (url, seen):
        OpenRouterClient(url, MANAGEMENT_KEY).credits()
    assert [request["Authorization"] for request in seen] == [f"Bearer {MANAGEMENT_KEY}"]


# ---------------------------------------------------------------- keys never show


def test_no_error_carries_a_key_not_even_one_that_the_provider_repeats():
    secret = "sk-or-v1-0123456789abcdef0123"
    body = f'{{"error":{{"code":401,"message":"the key {secret} and Bearer {secret} are bad"}}}}'.encode()
    with server_that_answers(401, body) as (url, _):
        client = OpenRouterClient(url, secret)
        with pytest.raises(ProviderUnauthorized) as refused:
            client.credits()
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__dict__) + repr(client)
    assert secret not in told
    assert "0123456789abcdef" not in told


def test_a_failed_connection_leaves_no_request_behind_the_error(client, provider):
    provider.set_fault("reset", path="/api/v1/keys")
    with pytest.raises(ProviderAnswerLost) as failed:
        client.create_key(name="Acme", limit=None)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


def test_reprs_hide_secrets(client):
    made = client.create_key(name="Acme", limit=None)
    assert made.secret not in repr(made)
    assert MANAGEMENT_KEY not in repr(client) + repr(upstreams())
    assert SHARED_KEY not in repr(upstreams())


def test_nothing_is_logged_but_paths(client, caplog):
    caplog.set_level("DEBUG")
    made = client.create_key(name="Acme", limit=None)
    client.own_key(made.secret)
    assert "/keys" in caplog.text
    assert made.secret not in caplog.text
    assert MANAGEMENT_KEY not in caplog.text


# ---------------------------------------------------------------- which account


def test_one_stand_in_behind_both_modes_is_one_account(provider):
    [upstream] = upstreams()
    assert upstream.modes == ("live", "test")
    assert manageable_modes() == ["live", "test"]


def test_live_and_test_keys_have_accounts_of_their_own(provider, settings):
    settings.OPENROUTER_BASE_URL = "https://provider.invalid/api/v1"
    settings.OPENROUTER_MANAGEMENT_KEY = ""
    assert upstream_for("live").base_url == "https://provider.invalid/api/v1"
    assert upstream_for("test").base_url == provider.base_url
    assert manageable_modes() == ["test"]
    with pytest.raises(ProviderNotConfigured, match="live keys is not configured"):
        client_for("live")
