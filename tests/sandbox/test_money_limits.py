"""What the stand-in refuses for want of money or quota, and whose account pays."""

from decimal import Decimal

from sandbox.testing import running_sandbox
from tests.sandbox.asking import (
    CHAT,
    ask,
    chat_body,
    cost,
    eventually,
    make_key,
    manage,
    open_raw,
    read_until,
    stream,
)


def test_an_empty_account_refuses_free_models_too(sandbox):
    ask(sandbox, "openai/gpt-4o", "[[prompt=1000 tokens=1000]]")
    sandbox.configure(total_credits="0.0125")
    for model in ("openai/gpt-4o", "sandbox/chat:free"):
        status, body, _ = ask(sandbox, model)
        assert (status, body["error"]["metadata"]["limit_source"]) == (402, "openrouter_credits")
    sandbox.configure(total_credits="0.02")
    assert ask(sandbox, "sandbox/chat:free")[0] == 200


def test_the_in_flight_budget_reserves_input_and_most_output(sandbox):
    sandbox.configure(in_flight_budget="0.003")
    question = "[[prompt=1000 tokens=1]]"
    status, body, _ = ask(sandbox, "sandbox/chat", question, max_tokens=1001)
    assert (status, body["error"]["metadata"]["reason"]) == (402, "weight_exceeds_budget")
    assert ask(sandbox, "sandbox/chat", question, max_tokens=1000)[0] == 200
    assert sandbox.configure()["in_flight"] == "0"


def test_running_calls_share_the_in_flight_budget(sandbox):
    sandbox.configure(in_flight_budget="0.003")
    slow = chat_body("sandbox/chat", "[[prompt=1000 tokens=10 first=0.5]]", max_tokens=900)
    with open_raw(sandbox, slow) as connection:
        read_until(connection, b"\r\n\r\n")
        status, body, headers = ask(sandbox, "sandbox/chat", "[[prompt=1000 tokens=1]]", max_tokens=900)
        assert (status, body["error"]["metadata"]["reason"]) == (402, "in_flight_budget_exhausted")
        assert headers["retry-after"] == "1"
        read_until(connection, b'"usage"')
    eventually(lambda: ask(sandbox, "sandbox/chat", "[[prompt=1000 tokens=1]]", max_tokens=900)[0] == 200)


def test_parallel_calls_can_pass_a_key_limit_together(sandbox):
    key, _ = make_key(sandbox, limit=0.001)
    slow = chat_body("sandbox/chat", "[[prompt=1000 tokens=10 first=0.3]]")
    calls = [open_raw(sandbox, slow, key=key) for _ in range(3)]
    for connection in calls:
        read_until(connection, b'"usage"')
        connection.close()
    assert sandbox.usage(key=key) == 3 * Decimal("0.00102")
    assert ask(sandbox, "sandbox/chat", key=key)[0] == 403


def test_free_models_share_a_quota_per_minute_and_day(sandbox):
    sandbox.configure(free_per_minute=2, free_per_day=3)
    key, _ = make_key(sandbox)
    assert [ask(sandbox, "sandbox/chat:free", key=key)[0] for _ in range(2)] == [200, 200]
    status, _, headers = ask(sandbox, "sandbox/chat:free")
    assert (status, headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == (429, "2", "0")
    assert ask(sandbox, "sandbox/zero-priced")[0] == 200
    sandbox.set_clock(offset=61)
    assert [ask(sandbox, "sandbox/chat:free")[0] for _ in range(2)] == [200, 429]
    told = sandbox.call("GET", "/api/v1/key", key=key)[1]["data"]["free_model_daily_requests"]
    assert told == {"used": 3, "limit": 3, "remaining": 0}


def test_an_answer_from_the_cache_has_a_new_id_and_costs_nothing(sandbox):
    asked = {"headers": {"X-OpenRouter-Cache": "true"}, "key": sandbox.settings.api_key}
    first = sandbox.call("POST", CHAT, chat_body("openai/gpt-4o"), **asked)
    second = sandbox.call("POST", CHAT, chat_body("openai/gpt-4o"), **asked)
    assert [answer[2]["x-openrouter-cache-status"] for answer in (first, second)] == ["MISS", "HIT"]
    assert second[1]["id"] != first[1]["id"]
    assert second[1]["choices"] == first[1]["choices"]
    assert (cost(second[1]), second[1]["usage"]["total_tokens"]) == (0, 0)
    assert sandbox.usage() == cost(first[1]) > 0
    other = sandbox.call("POST", CHAT, chat_body("openai/gpt-4o", "other"), **asked)
    assert other[2]["x-openrouter-cache-status"] == "MISS"
    hit = stream(sandbox, "openai/gpt-4o", headers={"X-OpenRouter-Cache": "true"})
    again = stream(sandbox, "openai/gpt-4o", headers={"X-OpenRouter-Cache": "true"})
    assert hit.usages[0]["cost"] > 0
    assert (again.usages[0]["cost"], again.usages[0]["total_tokens"]) == (0, 0)


def test_own_provider_keys_pay_only_the_fee_over_the_allowance(sandbox):
    body = ask(sandbox, "openai/gpt-4o-mini", "[[prompt=1000 tokens=200]]", key=sandbox.settings.byok_key)[1]
    assert (body["usage"]["is_byok"], cost(body)) == (True, 0)
    assert body["usage"]["cost_details"]["upstream_inference_cost"] == Decimal("0.00027")
    assert sandbox.usage() == 0
    assert sandbox.books()["totals"]["byok_usage"] == "0.00027"
    data = sandbox.call("GET", "/api/v1/key", key=sandbox.settings.byok_key)[1]["data"]
    assert (data["usage"], data["byok_usage"]) == (0, Decimal("0.00027"))
    with running_sandbox(byok_allowance=Decimal("0.0002"), byok_fee_percent=Decimal(5)) as small:
        question = "[[prompt=1000 tokens=200]]"
        fees = [cost(ask(small, "openai/gpt-4o-mini", question, key=small.settings.byok_key)[1]) for _ in range(2)]
        assert fees == [Decimal("0.0000035"), Decimal("0.0000135")]
        assert small.usage() == Decimal("0.000017")


def test_a_registered_credential_serves_its_keys_only(sandbox):
    key, hash_ = make_key(sandbox)
    status, made = manage(
        sandbox, "POST", "/byok", {"provider": "openai", "key": "sk-123456789", "allowed_api_key_hashes": [hash_]}
    )
    assert (status, made["data"]["label"]) == (201, "sk-...6789")
    assert "key" not in made["data"]
    assert ask(sandbox, "openai/gpt-4o", key=key)[1]["usage"]["is_byok"] is True
    assert ask(sandbox, "openai/gpt-4o")[1]["usage"]["is_byok"] is False
    assert ask(sandbox, "anthropic/claude-haiku-4.5", key=key)[1]["usage"]["is_byok"] is False
    path = f"/byok/{made['data']['id']}"
    assert manage(sandbox, "PATCH", path, {"allowed_models": ["openai/gpt-4o-mini"]})[0] == 200
    assert ask(sandbox, "openai/gpt-4o", key=key)[1]["usage"]["is_byok"] is False
    manage(sandbox, "PATCH", path, {"allowed_models": None, "key": "broken"})
    assert ask(sandbox, "openai/gpt-4o", key=key)[1]["usage"]["is_byok"] is False
    assert manage(sandbox, "PATCH", path, {"disabled": "x"})[0] == 400
    assert manage(sandbox, "GET", path)[1]["data"]["provider"] == "openai"
    assert manage(sandbox, "GET", "/byok")[1]["total_count"] == 1
    assert manage(sandbox, "DELETE", path) == (200, {"deleted": True})
    assert manage(sandbox, "GET", path)[0] == 404
    assert manage(sandbox, "POST", "/byok", {"provider": "openai"})[0] == 400


def test_a_customers_own_account_is_not_on_our_bill(sandbox):
    body = ask(sandbox, "openai/gpt-4o", key=sandbox.settings.customer_key)[1]
    assert cost(body) > 0
    assert manage(sandbox, "GET", "/credits")[1]["data"]["total_usage"] == 0
    assert sandbox.usage(key=sandbox.settings.customer_key) == cost(body)
