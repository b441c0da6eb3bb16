"""One test per cell of what can go wrong: what the client sees, and what is in the books afterwards."""

import http.client
import time
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.faults import ANSWERS, KINDS, REFUSALS
from sandbox.text import count_tokens
from tests.sandbox.asking import ask, chat_body, eventually, make_key, manage, open_raw, read_until, stream

QUESTION = "[[prompt=100 tokens=10]]"
WHOLE = Decimal("0.00012")  # 100 tokens at 1 and 10 at 2 USD per million


def lookup(sandbox, id_):
    return sandbox.call("GET", f"/api/v1/generation?id={id_}", key=sandbox.settings.api_key)


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("streamed", [False, True])
def test_refusals_have_their_status_and_body_and_cost_nothing(sandbox, kind, streamed):
    status, body, headers = ask(sandbox, f"sandbox/fault-{kind}", stream=streamed)
    assert status == body["error"]["code"] == int(kind[:3])
    assert body["error"]["metadata"]["error_type"] == REFUSALS[kind].error_type
    assert body["error"]["message"]
    assert body["user_id"]
    assert ("retry-after" in headers) == (REFUSALS[kind].retry_after is not None)
    assert sandbox.books()["totals"]["requests"] == 0


def test_spending_limits_name_their_source(sandbox):
    sources = {
        "402-credits": ("openrouter_credits", None),
        "402-weight": ("openrouter_credits", "weight_exceeds_budget"),
        "402-in-flight": ("openrouter_in_flight_budget", "in_flight_budget_exhausted"),
        "402-key-limit": ("openrouter_key_limit", None),
        "403-key-limit": ("openrouter_key_limit", None),
        "403-guardrail": ("openrouter_guardrail_budget", None),
        "403-workspace": ("openrouter_workspace_budget", None),
        "403-moderation": (None, None),
    }
    for kind, (source, reason) in sources.items():
        metadata = ask(sandbox, f"sandbox/fault-{kind}")[1]["error"]["metadata"]
        assert (metadata.get("limit_source"), metadata.get("reason")) == (source, reason)


def test_every_fault_is_a_model_with_a_price(sandbox):
    listed = {model["id"]: model["pricing"] for model in sandbox.call("GET", "/api/v1/models")[1]["data"]}
    for kind in KINDS:
        assert listed[f"sandbox/fault-{kind}"] == {"prompt": "0.000001", "completion": "0.000002"}


@pytest.mark.parametrize("kind", ["429", "500", "429-retry-after"])
def test_flaky_models_fail_n_times_then_answer_and_start_again(sandbox, kind):
    model = f"sandbox/flaky-{kind}-2"
    expected = [int(kind[:3])] * 2 + [200]
    assert [ask(sandbox, model)[0] for _ in range(6)] == expected * 2
    key, _ = make_key(sandbox)
    assert ask(sandbox, model, key=key)[0] == int(kind[:3])


def test_an_edge_error_is_html(sandbox):
    status, body, headers = ask(sandbox, "sandbox/fault-502-html")
    assert (status, headers["content-type"]) == (502, "text/html")
    assert body.startswith(b"<html>")
    assert sandbox.usage() == 0


def test_a_reset_answers_nothing_and_costs_nothing(sandbox):
    for streamed in (False, True):
        with pytest.raises(ConnectionResetError):
            ask(sandbox, "sandbox/fault-reset", QUESTION, stream=streamed)
    assert sandbox.usage() == 0


def test_breaking_connections_leaves_no_file_open(sandbox):
    def open_files():
        return len(list(Path("/dev/fd").iterdir()))

    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            ask(sandbox, "sandbox/fault-reset")
    before = open_files()
    for _ in range(20):
        with pytest.raises(ConnectionResetError):
            ask(sandbox, "sandbox/fault-reset")
    eventually(lambda: open_files() <= before + 3)


def test_an_answer_lost_on_the_way_is_billed(sandbox):
    with pytest.raises(ConnectionResetError):
        ask(sandbox, "sandbox/fault-reset-after", QUESTION)
    assert sandbox.usage() == WHOLE


def test_a_hang_answers_nothing_until_the_client_leaves_and_costs_nothing(sandbox):
    with open_raw(sandbox, chat_body("sandbox/fault-hang", QUESTION)) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    time.sleep(0.1)
    assert sandbox.usage() == 0


def test_a_billed_hang_shows_its_id_and_is_billed_when_the_client_leaves(sandbox):
    with open_raw(sandbox, chat_body("sandbox/fault-hang-billed", QUESTION)) as connection:
        head = read_until(connection, b"\r\n\r\n")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert sandbox.usage() == 0
    eventually(lambda: sandbox.usage() == WHOLE)
    assert b"x-generation-id: gen-" in head.lower()


def test_slow_headers_come_late(sandbox):
    started = time.monotonic()
    status, body, _ = ask(sandbox, "sandbox/fault-slow-headers", "[[prompt=100 tokens=10 headers=0.4]]")
    assert status == 200
    assert time.monotonic() - started >= 0.4
    assert body["usage"]["cost"] == WHOLE


@pytest.mark.parametrize("kind", ["408-billed", "524-billed"])
def test_a_time_out_may_have_been_billed_and_can_be_looked_up(sandbox, kind):
    status, _, headers = ask(sandbox, f"sandbox/fault-{kind}", QUESTION)
    assert status == int(kind[:3])
    assert lookup(sandbox, headers["x-generation-id"])[1]["data"]["total_cost"] == WHOLE
    assert sandbox.usage() == WHOLE


def test_a_200_may_be_an_error_without_choices(sandbox):
    for streamed in (False, True):
        status, body, _ = ask(sandbox, "sandbox/fault-200-error", QUESTION, stream=streamed)
        assert status == 200
        assert "choices" not in body
        assert body["error"]["code"] == 502
    assert sandbox.usage() == 0


def test_a_choice_may_have_failed_with_partial_text_and_is_insured(sandbox):
    body = ask(sandbox, "sandbox/fault-choice-error", QUESTION)[1]
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["error"]["code"]) == ("error", 502)
    assert count_tokens(choice["message"]["content"]) == 5
    assert body["usage"]["cost"] == 0
    assert sandbox.usage() == 0


@pytest.mark.parametrize(("kind", "code"), [("sse-error", 502), ("sse-error-text-code", "server_error")])
def test_an_error_event_ends_a_stream_that_was_a_200(sandbox, kind, code):
    got = stream(sandbox, f"sandbox/fault-{kind}", QUESTION)
    last = got.events[-1]
    assert (got.status, got.whole, got.done) == (200, True, False)
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (code, "error")
    assert last["error"]["metadata"]["error_type"] == "provider_unavailable"
    assert 0 < count_tokens(got.text) < 10
    assert got.usages == []
    assert sandbox.usage() == 0


@pytest.mark.parametrize(
    ("kind", "tokens", "charged"),
    [
        ("cut-before", 0, Decimal(0)),
        ("cut-mid", 5, Decimal("0.00011")),
        ("cut-billed", 5, WHOLE),
    ],
)
def test_a_stream_may_just_end(sandbox, kind, tokens, charged):
    got = stream(sandbox, f"sandbox/fault-{kind}", QUESTION)
    assert (got.whole, got.done, got.usages) == (False, False, [])
    assert count_tokens(got.text) == tokens
    assert sandbox.usage() == charged
    assert lookup(sandbox, got.headers["x-generation-id"])[1]["data"]["total_cost"] == charged


def test_a_stream_may_be_reset(sandbox):
    body = chat_body("sandbox/fault-reset-mid", QUESTION, stream=True)
    with open_raw(sandbox, body) as connection, pytest.raises(ConnectionResetError):
        while connection.recv(65536):
            pass
    assert sandbox.usage() == Decimal("0.00011")


def test_a_stream_may_fall_silent(sandbox):
    body = chat_body("sandbox/fault-hang-mid", QUESTION, stream=True)
    with open_raw(sandbox, body) as connection:
        read_until(connection, b'"content":')
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            while connection.recv(65536):
                pass
    eventually(lambda: sandbox.usage() == Decimal("0.00011"))


@pytest.mark.parametrize("kind", ["cut-before", "cut-mid", "cut-billed"])
def test_a_whole_answer_may_be_cut_and_is_billed_in_full(sandbox, kind):
    with pytest.raises(http.client.IncompleteRead):
        ask(sandbox, f"sandbox/fault-{kind}", QUESTION)
    assert sandbox.usage() == WHOLE


def test_an_empty_answer_is_insured(sandbox):
    body = ask(sandbox, "sandbox/fault-empty", QUESTION)[1]
    assert (body["choices"][0]["finish_reason"], body["usage"]["cost"]) == (None, 0)
    got = stream(sandbox, "sandbox/fault-empty", QUESTION)
    assert (got.text, got.usages[0]["cost"]) == ("", 0)
    assert sandbox.usage() == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_usage_may_be_absent_although_billed(sandbox, streamed):
    model = "sandbox/fault-usage-absent"
    if streamed:
        got = stream(sandbox, model, QUESTION)
        assert (got.usages, got.done) == ([], True)
        id_ = got.headers["x-generation-id"]
    else:
        body = ask(sandbox, model, QUESTION)[1]
        assert "usage" not in body
        id_ = body["id"]
    assert lookup(sandbox, id_)[1]["data"]["total_cost"] == sandbox.usage() == WHOLE


@pytest.mark.parametrize(("kind", "shown"), [("cost-absent", "missing"), ("cost-null", None)])
def test_the_cost_may_be_absent_or_null_beside_the_tokens(sandbox, kind, shown):
    whole = ask(sandbox, f"sandbox/fault-{kind}", QUESTION)[1]["usage"]
    streamed = stream(sandbox, f"sandbox/fault-{kind}", QUESTION).usages[0]
    for usage in (whole, streamed):
        assert usage["completion_tokens"] == 10
        assert usage.get("cost", "missing") == shown
    assert sandbox.usage() == 2 * WHOLE


def test_usage_may_come_twice_but_is_billed_once(sandbox):
    got = stream(sandbox, "sandbox/fault-usage-twice", QUESTION)
    assert [usage["cost"] for usage in got.usages] == [WHOLE, WHOLE]
    assert sandbox.usage() == WHOLE


def test_usage_may_be_null_on_every_other_chunk(sandbox):
    got = stream(sandbox, "sandbox/fault-usage-null", QUESTION)
    assert all("usage" in event for event in got.events)
    assert [event["usage"] for event in got.events[:-1]] == [None] * (len(got.events) - 1)
    assert got.usages[0]["cost"] == WHOLE


def test_usage_may_grow_from_chunk_to_chunk_and_the_last_one_counts(sandbox):
    got = stream(sandbox, "sandbox/fault-usage-running", QUESTION)
    assert [usage["completion_tokens"] for usage in got.usages] == [*range(1, 11), 10]
    assert got.usages[-1]["cost"] == got.usages[-2]["cost"] == sandbox.usage() == WHOLE


def test_a_stream_may_end_after_its_finish_reason_and_before_its_usage(sandbox):
    got = stream(sandbox, "sandbox/fault-cut-usage", QUESTION)
    assert (got.events[-1]["choices"][0]["finish_reason"], got.usages) == ("stop", [])
    assert (got.whole, got.done, sandbox.usage()) == (False, False, WHOLE)


def test_the_platforms_own_limit_says_when_it_ends_in_milliseconds(sandbox):
    _, _, headers = ask(sandbox, "sandbox/fault-429-platform")
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("20", "0")
    assert abs(int(headers["x-ratelimit-reset"]) / 1000 - time.time()) < 5


def test_an_ended_free_model_says_so(sandbox):
    assert ask(sandbox, "sandbox/fault-404-free-ended")[1]["error"]["availability"] == {
        "code": "free_variant_ended",
        "retryable": False,
    }


def test_explicit_zeros_are_a_measurement(sandbox):
    for usage in (
        ask(sandbox, "sandbox/fault-usage-zero", QUESTION)[1]["usage"],
        stream(sandbox, "sandbox/fault-usage-zero", QUESTION).usages[0],
    ):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["cost"]) == (0, 0, 0)
    assert sandbox.usage() == 0


def test_usage_may_come_with_empty_choices(sandbox):
    got = stream(sandbox, "sandbox/fault-usage-openai", QUESTION)
    assert got.events[-1]["choices"] == []
    assert got.usages[0]["cost"] == WHOLE


def test_a_stream_may_end_without_its_last_word(sandbox):
    got = stream(sandbox, "sandbox/fault-no-done", QUESTION)
    assert (got.whole, got.done, got.usages[0]["cost"]) == (True, False, WHOLE)


def test_comments_may_stand_between_all_events(sandbox):
    got = stream(sandbox, "sandbox/fault-keepalive", QUESTION)
    assert got.raw.count(b": OPENROUTER PROCESSING\n\n") > len(got.events)
    assert count_tokens(got.text) == 10


def test_a_provider_may_overrun_the_limit(sandbox):
    body = ask(sandbox, "sandbox/fault-overrun", "[[prompt=100]]", max_tokens=10)[1]
    assert body["usage"]["completion_tokens"] == 18
    got = stream(sandbox, "sandbox/fault-overrun", "[[prompt=100]]", max_tokens=10)
    assert count_tokens(got.text) == 18
    assert sandbox.usage() == 2 * Decimal("0.000136")


def test_the_answer_may_name_a_model_that_is_in_no_list(sandbox):
    body = ask(sandbox, "sandbox/fault-wrong-model", QUESTION)[1]
    assert body["model"] == "sandbox/fault-wrong-model-20260101-v9"
    assert sandbox.books(model="sandbox/fault-wrong-model")["totals"]["requests"] == 1


def test_unknown_fields_may_appear(sandbox):
    assert "x_unknown" in ask(sandbox, "sandbox/fault-extra-fields", QUESTION)[1]
    assert all("x_unknown" in event for event in stream(sandbox, "sandbox/fault-extra-fields").events)


def test_the_lookup_is_404_until_the_record_is_visible(sandbox):
    body = ask(sandbox, "sandbox/fault-generation-late", QUESTION)[1]
    status, answer, _ = lookup(sandbox, body["id"])
    assert (status, answer["error"]["code"]) == (404, 404)
    sandbox.set_clock(offset=3.1)
    assert lookup(sandbox, body["id"])[0] == 200
    body = ask(sandbox, "sandbox/fault-generation-never", QUESTION)[1]
    sandbox.set_clock(offset=86_400)
    assert lookup(sandbox, body["id"])[0] == 404
    sandbox.set_clock(offset=0)
    sandbox.configure(generation_delay=60, interrupted_delay=120)
    body = ask(sandbox, "sandbox/chat", QUESTION)[1]
    cut = stream(sandbox, "sandbox/fault-cut-mid", QUESTION)
    sandbox.set_clock(offset=61)
    assert lookup(sandbox, body["id"])[0] == 200
    assert lookup(sandbox, cut.headers["x-generation-id"])[0] == 404
    sandbox.set_clock(offset=121)
    assert lookup(sandbox, cut.headers["x-generation-id"])[0] == 200
    wished = ask(sandbox, "sandbox/chat", "[[lookup=0]]")[1]
    assert lookup(sandbox, wished["id"])[0] == 200


def test_a_failing_provider_key_falls_back_to_our_credits(sandbox):
    body = ask(sandbox, "sandbox/fault-byok-fallback", QUESTION, key=sandbox.settings.byok_key)[1]
    assert (body["usage"]["is_byok"], body["usage"]["cost"]) == (False, WHOLE)


@pytest.mark.parametrize("kind", sorted(set(ANSWERS) - {"hang", "hang-billed", "hang-mid", "slow-headers"}))
@pytest.mark.parametrize("streamed", [False, True])
def test_after_every_fault_there_is_at_most_one_record_and_the_sums_agree(sandbox, kind, streamed):
    with open_raw(sandbox, chat_body(f"sandbox/fault-{kind}", QUESTION, stream=streamed)) as connection:
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
    records = sandbox.generations()
    assert len(records) == (0 if kind in ("reset", "502-html") else 1)
    charged = sum(Decimal(record["cost"]) for record in records)
    assert charged == sandbox.usage() in (0, WHOLE, Decimal("0.00011"), Decimal("0.032884"))
    assert manage(sandbox, "GET", "/credits")[1]["data"]["total_usage"] == charged


def test_a_fault_can_be_ordered_for_a_key_a_model_or_a_path(sandbox):
    key, hash_ = make_key(sandbox)
    sandbox.set_fault("429", times=2, key_hash=hash_)
    assert ask(sandbox, "sandbox/chat")[0] == 200
    assert [ask(sandbox, "sandbox/chat", key=key)[0] for _ in range(3)] == [429, 429, 200]
    sandbox.set_fault("500", model="openai/gpt-4o")
    assert ask(sandbox, "sandbox/chat")[0] == 200
    assert [ask(sandbox, "openai/gpt-4o")[0] for _ in range(2)] == [500, 200]
    sandbox.set_fault("500", path="/api/v1/keys")
    assert ask(sandbox, "sandbox/chat")[0] == 200
    assert [manage(sandbox, "GET", path)[0] for path in ("/credits", "/keys", "/keys")] == [200, 500, 200]
    sandbox.set_fault("usage-absent")
    assert manage(sandbox, "GET", "/keys")[0] == 200
    assert "usage" not in ask(sandbox, "openai/gpt-4o")[1]
    sandbox.set_fault("429", times=100)
    sandbox.clear_faults()
    assert ask(sandbox, "sandbox/chat")[0] == 200


def test_the_answer_that_makes_a_key_can_be_lost(sandbox):
    sandbox.set_fault("reset-after", path="/api/v1/keys")
    with pytest.raises(ConnectionResetError):
        manage(sandbox, "POST", "/keys", {"name": "orphan"})
    assert manage(sandbox, "GET", "/keys")[1]["data"][0]["name"] == "orphan"
    sandbox.set_fault("reset", path="/api/v1/keys")
    with pytest.raises(ConnectionResetError):
        manage(sandbox, "POST", "/keys", {"name": "never made"})
    assert manage(sandbox, "GET", "/keys")[1]["data"][0]["name"] == "orphan"
