from decimal import Decimal

from tests.sandbox.asking import ask, make_key, manage, stream

COST = Decimal("0.00027")


def ask_mini(sandbox, **fields):
    body = ask(sandbox, "openai/gpt-4o-mini", "[[prompt=1000 tokens=200]]", **fields)[1]
    assert body["usage"]["cost"] == COST
    return body


def test_credits_are_what_was_bought_and_used(sandbox):
    assert manage(sandbox, "GET", "/credits")[1]["data"] == {"total_credits": 1_000_000, "total_usage": 0}
    ask_mini(sandbox)
    sandbox.configure(total_credits="12.5")
    assert manage(sandbox, "GET", "/credits")[1]["data"] == {
        "total_credits": Decimal("12.5"),
        "total_usage": COST,
    }


def test_activity_has_a_row_per_finished_day_model_and_endpoint(sandbox):
    key, hash_ = make_key(sandbox)
    sandbox.set_clock(now="2026-12-01T23:59:00Z")
    ask_mini(sandbox)
    ask_mini(sandbox, key=key)
    ask(sandbox, "openai/gpt-4o-mini", "[[prompt=1000 tokens=200]]", provider={"order": ["azure"]})
    ask(sandbox, "openai/gpt-5-mini", "[[prompt=10 cached=5 tokens=1 reasoning=3]]", key=key)
    sandbox.set_clock(now="2026-12-02T00:01:00Z")
    ask_mini(sandbox)
    status, answer = manage(sandbox, "GET", "/activity")
    assert status == 200
    rows = {(row["date"], row["model"], row["provider_name"]): row for row in answer["data"]}
    assert set(rows) == {
        ("2026-12-01", "openai/gpt-4o-mini", "OpenAI"),
        ("2026-12-01", "openai/gpt-4o-mini", "Azure"),
        ("2026-12-01", "openai/gpt-5-mini", "OpenAI"),
    }
    mini = rows["2026-12-01", "openai/gpt-4o-mini", "OpenAI"]
    assert (mini["requests"], mini["usage"]) == (2, 2 * COST)
    assert (mini["prompt_tokens"], mini["completion_tokens"]) == (2000, 400)
    five = rows["2026-12-01", "openai/gpt-5-mini", "OpenAI"]
    assert five["model_permaslug"] == "openai/gpt-5-mini-2025-08-07"
    assert (five["cached_tokens"], five["reasoning_tokens"], five["completion_tokens"]) == (5, 3, 4)
    mine = manage(sandbox, "GET", f"/activity?api_key_hash={hash_}")[1]["data"]
    assert {(row["model"], row["requests"]) for row in mine} == {
        ("openai/gpt-4o-mini", 1),
        ("openai/gpt-5-mini", 1),
    }
    assert len(manage(sandbox, "GET", "/activity?date=2026-12-01")[1]["data"]) == 3
    assert manage(sandbox, "GET", "/activity?date=2026-11-30")[1]["data"] == []
    for wrong in ("2026-12-02", "2026-10-01", "yesterday"):
        assert manage(sandbox, "GET", f"/activity?date={wrong}")[0] == 400
    sandbox.set_clock(now="2027-01-01T00:00:00Z")
    assert {row["date"] for row in manage(sandbox, "GET", "/activity")[1]["data"]} == {"2026-12-02"}


def test_a_generation_can_be_read_in_full(sandbox):
    got = stream(
        sandbox,
        "openai/gpt-5-mini",
        "[[prompt=100 cached=40 tokens=20 reasoning=5]]",
        user="end-user-7",
        session_id="s-1",
        service_tier="flex",
        headers={"HTTP-Referer": "https://example.com", "User-Agent": "test/1"},
    )
    id_ = got.headers["x-generation-id"]
    status, answer, _ = sandbox.call("GET", f"/api/v1/generation?id={id_}", key=sandbox.settings.api_key)
    record = answer["data"]
    assert status == 200
    assert record["total_cost"] == record["usage"] == got.usages[0]["cost"]
    expected = {
        "id": id_,
        "model": "openai/gpt-5-mini-2025-08-07",
        "provider_name": "OpenAI",
        "streamed": True,
        "cancelled": False,
        "finish_reason": "stop",
        "is_byok": False,
        "upstream_inference_cost": 0,
        "native_tokens_prompt": 100,
        "native_tokens_completion": 25,
        "native_tokens_cached": 40,
        "native_tokens_reasoning": 5,
        "external_user": "end-user-7",
        "session_id": "s-1",
        "http_referer": "https://example.com",
        "user_agent": "test/1",
        "service_tier": "flex",
    }
    assert {name: record[name] for name in expected} == expected
    assert record["provider_responses"][0]["status"] == 200


def test_an_unknown_generation_is_404_and_none_is_400(sandbox):
    key = sandbox.settings.api_key
    assert sandbox.call("GET", "/api/v1/generation?id=gen-1-x", key=key)[0] == 404
    assert sandbox.call("GET", "/api/v1/generation", key=key)[0] == 400
    assert sandbox.call("GET", "/api/v1/generation?id=gen-1-x")[0] == 401


def test_own_provider_keys_show_what_their_provider_bills(sandbox):
    body = ask(sandbox, "openai/gpt-4o-mini", "[[prompt=1000 tokens=200]]", key=sandbox.settings.byok_key)[1]
    key = sandbox.settings.byok_key
    record = sandbox.call("GET", f"/api/v1/generation?id={body['id']}", key=key)[1]["data"]
    assert (record["is_byok"], record["total_cost"], record["upstream_inference_cost"]) == (True, 0, COST)


def test_unknown_paths_are_404_in_json(sandbox):
    for method, path in (("GET", "/"), ("POST", "/api/v1/models"), ("GET", "/api/v1/chat/completions")):
        status, body, _ = sandbox.call(method, path)
        assert (status, body["error"]["code"]) == (404, 404)
