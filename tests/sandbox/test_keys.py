from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sandbox.books import hash_of
from tests.sandbox.asking import ask, make_key, manage

KEY_FIELDS = {
    "hash",
    "name",
    "label",
    "disabled",
    "limit",
    "limit_remaining",
    "limit_reset",
    "include_byok_in_limit",
    "usage",
    "usage_daily",
    "usage_weekly",
    "usage_monthly",
    "byok_usage",
    "byok_usage_daily",
    "byok_usage_weekly",
    "byok_usage_monthly",
    "created_at",
    "updated_at",
    "last_used_at",
    "expires_at",
    "creator_user_id",
    "external_user",
    "workspace_id",
}


def spend_a_cent(sandbox, key):
    status, body, _ = ask(sandbox, "sandbox/per-request", "[[prompt=5000 tokens=1]]", key=key, max_tokens=1)
    assert status == 200, body
    assert body["usage"]["cost"] == Decimal("0.010002")


def test_a_new_key_is_shown_once_and_named_by_its_hash(sandbox):
    status, made = manage(
        sandbox,
        "POST",
        "/keys",
        {
            "name": "cust-42",
            "limit": 12.34,
            "limit_reset": "monthly",
            "include_byok_in_limit": True,
            "expires_at": "2030-01-02T03:04:05Z",
            "creator_user_id": "user_1",
            "external": {"user": "cust-42"},
            "surprise": 1,
        },
    )
    assert status == 201
    assert made["data"]["hash"] == hash_of(made["key"])
    assert set(made["data"]) == KEY_FIELDS
    assert made["data"]["label"] == f"{made['key'][:12]}...{made['key'][-3:]}"
    assert (made["data"]["limit"], made["data"]["limit_remaining"]) == (Decimal("12.34"), Decimal("12.34"))
    assert made["data"]["expires_at"] == "2030-01-02T03:04:05.000Z"
    assert made["data"]["external_user"] == "cust-42"
    status, read = manage(sandbox, "GET", f"/keys/{made['data']['hash']}")
    assert (status, read["data"]) == (200, made["data"])
    assert "key" not in read


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 5},
        {"name": "x", "limit": "10"},
        {"name": "x", "limit": -1},
        {"name": "x", "limit": True},
        {"name": "x", "limit_reset": "hourly"},
        {"name": "x", "include_byok_in_limit": "yes"},
        {"name": "x", "expires_at": "2030-01-02"},
        {"name": "x", "expires_at": "2030-01-02T03:04:05+01:00"},
        {"name": "x", "expires_at": "2030-13-02T03:04:05Z"},
        {"name": "x", "external": "cust"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused_and_not_made(sandbox, body):
    before = manage(sandbox, "GET", "/keys")[1]["data"]
    status, answer = manage(sandbox, "POST", "/keys", body)
    assert status == 400
    assert answer["error"]["code"] == 400
    assert manage(sandbox, "GET", "/keys")[1]["data"] == before


def test_a_body_that_is_no_json_object_is_refused(sandbox):
    for body in (b"", b"[]", b"{", b'"x"'):
        assert manage(sandbox, "POST", "/keys", body)[0] == 400


def test_keys_come_newest_first_in_pages_of_a_hundred(sandbox):
    hashes = [make_key(sandbox, name=f"key {place}")[1] for place in range(120)]
    first = [key["hash"] for key in manage(sandbox, "GET", "/keys")[1]["data"]]
    second = [key["hash"] for key in manage(sandbox, "GET", "/keys?offset=100")[1]["data"]]
    assert first == list(reversed(hashes))[:100]
    assert second[:20] == list(reversed(hashes))[100:]
    assert manage(sandbox, "GET", "/keys?offset=-1")[0] == 400


def test_disabled_and_expired_keys_are_listed_only_on_request(sandbox):
    disabled = make_key(sandbox)[1]
    expired = make_key(sandbox, expires_at="2020-01-01T00:00:00Z")[1]
    other = make_key(sandbox, workspace_id="other")[1]
    manage(sandbox, "PATCH", f"/keys/{disabled}", {"disabled": True})

    def listed(query):
        return {key["hash"] for key in manage(sandbox, "GET", f"/keys{query}")[1]["data"]}

    assert not {disabled, expired} & listed("")
    assert disabled in listed("?include_disabled=true")
    assert expired in listed("?include_expired=true")
    assert listed("?workspace_id=other") == {other}


def test_patch_tells_null_from_absent_and_ignores_what_it_does_not_know(sandbox):
    hash_ = make_key(sandbox, limit=5, limit_reset="daily")[1]
    status, answer = manage(sandbox, "PATCH", f"/keys/{hash_}", {"name": "renamed", "surprise": 1})
    assert (status, answer["data"]["name"], answer["data"]["limit"]) == (200, "renamed", 5)
    assert answer["data"]["updated_at"] is not None
    answer = manage(sandbox, "PATCH", f"/keys/{hash_}", {"limit": None})[1]
    assert (answer["data"]["limit"], answer["data"]["limit_remaining"]) == (None, None)
    assert manage(sandbox, "PATCH", f"/keys/{hash_}", {"surprise": 1})[0] == 400
    assert manage(sandbox, "PATCH", f"/keys/{hash_}", {"limit": "5"})[0] == 400
    assert manage(sandbox, "PATCH", "/keys/unknown", {"name": "x"})[0] == 404


def test_a_deleted_key_is_gone_and_cannot_call(sandbox):
    key, hash_ = make_key(sandbox)
    spend_a_cent(sandbox, key)
    assert manage(sandbox, "DELETE", f"/keys/{hash_}") == (200, {"deleted": True})
    assert manage(sandbox, "GET", f"/keys/{hash_}")[0] == 404
    assert manage(sandbox, "DELETE", f"/keys/{hash_}")[0] == 404
    assert ask(sandbox, "sandbox/chat", key=key)[0] == 401
    assert sandbox.usage(key=key) == Decimal("0.010002")


def test_disabled_and_expired_keys_cannot_call(sandbox):
    key, hash_ = make_key(sandbox)
    manage(sandbox, "PATCH", f"/keys/{hash_}", {"disabled": True})
    assert ask(sandbox, "sandbox/chat", key=key)[0] == 401
    expired, _ = make_key(sandbox, expires_at="2020-01-01T00:00:00Z")
    assert ask(sandbox, "sandbox/chat", key=expired)[0] == 401
    assert sandbox.usage() == 0


def test_management_keys_cannot_infer_and_inference_keys_cannot_manage(sandbox):
    assert ask(sandbox, "sandbox/chat", key=sandbox.settings.management_key)[0] == 401
    for method, path in (
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("GET", "/credits"),
        ("GET", "/activity"),
        ("GET", "/byok"),
    ):
        status, body, _ = sandbox.call(method, f"/api/v1{path}", {}, key=sandbox.settings.api_key)
        assert (status, body["error"]["metadata"]["error_type"]) == (401, "authentication")
    assert sandbox.call("GET", "/api/v1/key")[0] == 401
    assert sandbox.call("GET", "/api/v1/key", key="sk-or-v1-nobody")[0] == 401


def test_a_key_tells_about_itself(sandbox):
    key, _ = make_key(sandbox, limit=1, limit_reset="daily")
    sandbox.set_clock(now="2026-12-30T10:00:00Z")
    spend_a_cent(sandbox, key)
    for path in ("/api/v1/key", "/api/v1/auth/key"):
        status, body, _ = sandbox.call("GET", path, key=key)
        data = body["data"]
        assert status == 200
        assert (data["usage"], data["usage_daily"]) == (Decimal("0.010002"), Decimal("0.010002"))
        assert (data["limit_remaining"], data["is_management_key"]) == (Decimal("0.989998"), False)
        assert data["effective_budget"] == data["budgets"][0]
        assert data["budgets"][0]["resets_at"] == "2026-12-31T00:00:00.000Z"
        assert data["budgets"][0]["remaining_usd"] == Decimal("0.989998")
    management = sandbox.call("GET", "/api/v1/key", key=sandbox.settings.management_key)[1]["data"]
    assert (management["is_management_key"], management["budgets"]) == (True, [])


@pytest.mark.parametrize(
    ("reset", "still_spent", "free_again"),
    [
        ("daily", "2026-07-08T23:59:59Z", "2026-07-09T00:00:01Z"),
        ("weekly", "2026-07-12T23:59:59Z", "2026-07-13T00:00:01Z"),
        ("monthly", "2026-07-31T23:59:59Z", "2026-08-01T00:00:01Z"),
        (None, "2026-12-31T00:00:00Z", None),
    ],
)
def test_a_limit_counts_finished_spend_of_its_window(sandbox, reset, still_spent, free_again):
    sandbox.set_clock(now="2026-07-08T12:00:00Z")  # a Wednesday
    key, hash_ = make_key(sandbox, limit=0.01, limit_reset=reset)
    spend_a_cent(sandbox, key)
    sandbox.set_clock(now=still_spent)
    status, body, _ = ask(sandbox, "sandbox/chat", key=key)
    assert (status, body["error"]["metadata"]["limit_source"]) == (403, "openrouter_key_limit")
    assert manage(sandbox, "GET", f"/keys/{hash_}")[1]["data"]["limit_remaining"] == 0
    if free_again:
        sandbox.set_clock(now=free_again)
        spend_a_cent(sandbox, key)
        assert manage(sandbox, "GET", f"/keys/{hash_}")[1]["data"]["usage"] == Decimal("0.020004")


def test_raising_a_spent_limit_lets_the_key_call_again(sandbox):
    key, hash_ = make_key(sandbox, limit=0.01)
    spend_a_cent(sandbox, key)
    assert ask(sandbox, "sandbox/chat", key=key)[0] == 403
    sandbox.configure(key_limit_status=402)
    assert ask(sandbox, "sandbox/chat", key=key)[0] == 402
    manage(sandbox, "PATCH", f"/keys/{hash_}", {"limit": 1})
    spend_a_cent(sandbox, key)


def test_windows_of_usage_end_with_day_week_and_month(sandbox):
    key, hash_ = make_key(sandbox)
    sandbox.set_clock(now="2026-07-31T12:00:00Z")  # a Friday
    spend_a_cent(sandbox, key)
    sandbox.set_clock(now="2026-08-01T12:00:00Z")
    spend_a_cent(sandbox, key)
    data = manage(sandbox, "GET", f"/keys/{hash_}")[1]["data"]
    one, two = Decimal("0.010002"), Decimal("0.020004")
    assert (data["usage"], data["usage_weekly"]) == (two, two)
    assert (data["usage_daily"], data["usage_monthly"]) == (one, one)
    sandbox.set_clock(now="2026-08-03T00:00:00Z")
    data = manage(sandbox, "GET", f"/keys/{hash_}")[1]["data"]
    assert (data["usage_daily"], data["usage_weekly"], data["usage_monthly"]) == (0, 0, one)
    assert datetime.fromisoformat(data["last_used_at"]).date() == datetime(2026, 8, 1, tzinfo=UTC).date()
