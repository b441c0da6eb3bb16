from decimal import Decimal

import pytest

from sandbox.text import count_tokens
from tests.sandbox.asking import (
    CHAT,
    ask,
    chat_body,
    cost,
    stream,
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["c", "f"]},
            },
        },
    },
}


def test_a_plain_answer_has_the_contracts_shape_and_is_billed_to_the_last_digit(sandbox):
    status, body, headers = ask(sandbox, "openai/gpt-4o-mini", "[[tokens=200 prompt=1000]]")
    assert status == 200
    assert headers["x-generation-id"] == body["id"]
    stem, created, rest = body["id"].split("-")
    assert (stem, int(created), len(rest)) == ("gen", body["created"], 20)
    assert body["object"] == "chat.completion"
    assert (body["model"], body["provider"]) == ("openai/gpt-4o-mini", "OpenAI")
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "stop")
    assert count_tokens(choice["message"]["content"]) == 200
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1000, 200, 1200)
    assert usage["cost"] == Decimal("0.00027")
    assert usage["cost_details"] == {
        "upstream_inference_cost": Decimal("0.00027"),
        "upstream_inference_prompt_cost": Decimal("0.00015"),
        "upstream_inference_completions_cost": Decimal("0.00012"),
    }
    assert usage["is_byok"] is False
    assert sandbox.usage() == Decimal("0.00027")


def test_cached_and_written_tokens_are_inside_the_prompt(sandbox):
    body = ask(sandbox, "sandbox/cached")[1]
    assert body["usage"]["prompt_tokens"] == 1000
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 600
    assert body["usage"]["prompt_tokens_details"]["cache_write_tokens"] == 100
    assert cost(body) == Decimal("0.004455")


def test_tokens_are_counted_as_documented(sandbox):
    messages = [
        {"role": "system", "content": "12345678"},
        {"role": "user", "content": [{"type": "text", "text": "123456789"}]},
    ]
    body = sandbox.call("POST", CHAT, {"model": "sandbox/chat", "messages": messages}, key=sandbox.settings.api_key)[1]
    assert body["usage"]["prompt_tokens"] == (4 + 2) + (4 + 3)


def test_the_same_question_gets_the_same_answer(sandbox):
    answers = [ask(sandbox, "sandbox/chat", "what is new?")[1] for _ in range(2)]
    assert answers[0]["choices"] == answers[1]["choices"]
    assert answers[0]["usage"] == answers[1]["usage"]
    assert answers[0]["id"] != answers[1]["id"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_stops_at_its_limit(sandbox, name):
    body = ask(sandbox, "sandbox/chat", "[[tokens=50]]", **{name: 20})[1]
    assert body["usage"]["completion_tokens"] == 20
    assert body["choices"][0]["finish_reason"] == "length"


def test_reasoning_counts_inside_the_completion_and_inside_the_limit(sandbox):
    body = ask(sandbox, "sandbox/reasoning", "[[tokens=10 prompt=0]]")[1]
    assert body["usage"]["completion_tokens"] == 50
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 40
    assert count_tokens(body["choices"][0]["message"]["reasoning"]) == 40
    assert cost(body) == Decimal("0.00014")
    short = ask(sandbox, "sandbox/reasoning", "[[tokens=10]]", max_tokens=30)[1]
    assert (short["usage"]["completion_tokens"], short["choices"][0]["finish_reason"]) == (30, "length")
    assert short["choices"][0]["message"]["content"] == ""
    for off in ({"reasoning": {"enabled": False}}, {"reasoning_effort": "none"}):
        none = ask(sandbox, "sandbox/reasoning", "[[tokens=10]]", **off)[1]
        assert none["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


def test_fees_per_request_and_search_are_in_the_cost(sandbox):
    assert cost(ask(sandbox, "sandbox/per-request", "[[prompt=0 tokens=1]]")[1]) == Decimal("0.005002")
    body = ask(sandbox, "sandbox/search", "[[prompt=0 tokens=1]]")[1]
    assert cost(body) == Decimal("0.020002")
    assert body["usage"]["server_tool_use_details"] == {"web_search_requests": 2}
    plugin = ask(sandbox, "openai/gpt-5", "[[prompt=0 tokens=1 reasoning=0]]", plugins=[{"id": "web"}])[1]
    online = ask(sandbox, "openai/gpt-5:online", "[[prompt=0 tokens=1 reasoning=0]]")[1]
    assert cost(plugin) == cost(online) == Decimal("0.01001")


def test_images_in_and_out_are_priced_each(sandbox):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    content = [{"type": "text", "text": "[[tokens=0 prompt=0 reasoning=0]]"}, picture, picture]
    body = sandbox.call(
        "POST",
        CHAT,
        {"model": "google/gemini-2.5-pro", "messages": [{"role": "user", "content": content}]},
        key=sandbox.settings.api_key,
    )[1]
    assert cost(body) == 0  # no output at all: insured
    content[0]["text"] = "[[tokens=1 prompt=0 reasoning=0]]"
    body = sandbox.call(
        "POST",
        CHAT,
        {"model": "google/gemini-2.5-pro", "messages": [{"role": "user", "content": content}]},
        key=sandbox.settings.api_key,
    )[1]
    assert cost(body) == Decimal("0.01033")
    made = ask(sandbox, "google/gemini-2.5-flash-image")[1]
    assert cost(made) == Decimal("0.039")
    assert made["choices"][0]["message"]["images"][0]["image_url"]["url"].startswith("data:image/png")


@pytest.mark.parametrize(
    "model",
    ["meta-llama/llama-3.3-70b-instruct:free", "openrouter/sherlock-dash-alpha", "sandbox/zero-priced"],
)
def test_free_models_cost_nothing_and_are_in_the_books(sandbox, model):
    body = ask(sandbox, model)[1]
    assert cost(body) == 0
    totals = sandbox.books(model=model)["totals"]
    assert (totals["requests"], totals["usage"]) == (1, "0")


def test_long_prompts_and_discounts_change_the_price(sandbox):
    body = ask(sandbox, "google/gemini-2.5-pro", "[[prompt=200001 tokens=1 reasoning=0]]")[1]
    assert cost(body) == Decimal("0.5000175")
    body = ask(sandbox, "qwen/qwen3-coder", "[[prompt=1000 tokens=1000]]")[1]
    assert cost(body) == Decimal("0.0008775")


def test_time_of_day_changes_the_price(sandbox):
    question = "[[prompt=1000 tokens=1000 reasoning=0]]"
    sandbox.set_clock(now="2026-12-01T12:00:00Z")
    assert cost(ask(sandbox, "deepseek/deepseek-v3.2", question)[1]) == Decimal("0.0007")
    sandbox.set_clock(now="2026-12-01T23:00:00Z")
    assert cost(ask(sandbox, "deepseek/deepseek-v3.2", question)[1]) == Decimal("0.00035")


def test_a_call_is_billed_at_the_tier_that_served_it(sandbox):
    question = "[[prompt=1000 tokens=1000 reasoning=0]]"
    standard = ask(sandbox, "openai/gpt-5-mini", question)[1]
    assert (cost(standard), standard.get("service_tier")) == (Decimal("0.00225"), None)
    for how, tier, expected in (
        ({"service_tier": "flex"}, "flex", "0.001125"),
        ({"service_tier": "fast"}, "priority", "0.00405"),
        ({"service_tier": "priority"}, "priority", "0.00405"),
    ):
        body = ask(sandbox, "openai/gpt-5-mini", question, **how)[1]
        assert (cost(body), body["service_tier"]) == (Decimal(expected), tier)
    floor = ask(sandbox, "openai/gpt-5-mini:floor", question)[1]
    assert (cost(floor), floor["service_tier"]) == (Decimal("0.001125"), "flex")
    without = ask(sandbox, "openai/gpt-4o-mini", question, service_tier="flex")[1]
    assert "service_tier" not in without


def test_the_endpoint_that_serves_sets_the_price(sandbox):
    question = "[[prompt=1000 tokens=1000]]"
    dear = ask(sandbox, "sandbox/dear-endpoint", question)[1]
    assert (dear["provider"], cost(dear)) == ("Dear", Decimal("0.012"))
    limited = ask(sandbox, "sandbox/dear-endpoint", question, provider={"max_price": {"prompt": 1, "completion": 2}})[1]
    assert (limited["provider"], cost(limited)) == ("Sandbox", Decimal("0.003"))
    for wish, served in (
        ({"order": ["groq"]}, "Groq"),
        ({"only": ["Groq"]}, "Groq"),
        ({"ignore": ["deepinfra"]}, "Groq"),
        ({"sort": "price"}, "DeepInfra"),
        ({"order": ["nobody"]}, "DeepInfra"),
    ):
        assert ask(sandbox, "openai/gpt-oss-120b", provider=wish)[1]["provider"] == served


@pytest.mark.parametrize(
    "wish",
    [
        {"max_price": {"prompt": "0.01"}},
        {"max_price": {"completion": 0.1}},
        {"only": ["nobody"]},
        {"order": ["nobody"], "allow_fallbacks": False},
    ],
)
def test_preferences_that_nothing_meets_are_404_and_cost_nothing(sandbox, wish):
    status, body, _ = ask(sandbox, "openai/gpt-oss-120b", provider=wish)
    assert (status, body["error"]["metadata"]["error_type"]) == (404, "not_found")
    assert body["error"]["availability"]["code"] == "no_endpoints"
    assert sandbox.usage() == 0


def test_the_next_model_answers_when_the_first_cannot_and_its_price_applies(sandbox):
    question = "[[prompt=1000 tokens=100]]"
    for broken in ("sandbox/fault-429", "sandbox/fault-404", "sandbox/fault-503", "sandbox/fault-403-moderation"):
        body = ask(sandbox, broken, question, models=["openai/gpt-4o-mini"])[1]
        assert (body["model"], cost(body)) == ("openai/gpt-4o-mini", Decimal("0.00021"))
    assert ask(sandbox, "sandbox/fault-429", models=["sandbox/fault-502"])[0] == 502
    assert ask(sandbox, "sandbox/fault-402-credits", models=["openai/gpt-4o-mini"])[0] == 402
    body = sandbox.call(
        "POST",
        CHAT,
        {"models": ["sandbox/fault-429", "sandbox/chat"], "messages": [{"role": "user", "content": "x"}]},
        key=sandbox.settings.api_key,
        headers={"X-OpenRouter-Metadata": "enabled"},
    )[1]
    assert [attempt["status"] for attempt in body["openrouter_metadata"]["attempts"]] == [429, 200]


def test_tools_are_called_when_they_must_be(sandbox):
    for how in (
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    ):
        body = ask(sandbox, "openai/gpt-4o", tools=[WEATHER], **how)[1]
        choice = body["choices"][0]
        call = choice["message"]["tool_calls"][0]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
        assert call["function"] == {
            "name": "get_weather",
            "arguments": '{"city": "the sun", "days": 1, "unit": "c"}',
        }
        assert body["usage"]["completion_tokens"] == count_tokens("get_weather") + count_tokens(
            call["function"]["arguments"]
        )
    plain = ask(sandbox, "openai/gpt-4o", tools=[WEATHER])[1]
    assert plain["choices"][0]["finish_reason"] == "stop"
    by_wish = ask(sandbox, "openai/gpt-4o", "[[tool]]", tools=[WEATHER])[1]
    assert by_wish["choices"][0]["finish_reason"] == "tool_calls"


def test_json_is_answered_where_it_is_asked_for(sandbox):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "names": {"type": "array"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = ask(sandbox, "openai/gpt-4o", response_format=shape)[1]
    assert body["choices"][0]["message"]["content"] == '{"ok": true, "names": ["the sun"]}'
    assert "".join(stream(sandbox, "openai/gpt-4o", response_format=shape).text) == '{"ok": true, "names": ["the sun"]}'


@pytest.mark.parametrize(
    "body",
    [
        {"model": "sandbox/chat"},
        {"model": "sandbox/chat", "messages": []},
        {"model": "sandbox/chat", "messages": "hello"},
        {"model": "sandbox/chat", "messages": [{"content": "no role"}]},
        {"messages": [{"role": "user", "content": "no model"}]},
        chat_body("sandbox/chat", max_tokens=0),
        chat_body("sandbox/chat", max_tokens="many"),
        chat_body("sandbox/chat", provider={"max_price": {"prompt": "x"}}),
        chat_body("sandbox/chat", "[[tokens=many]]"),
        chat_body("sandbox/chat", "[[fault=nonsense]]"),
        chat_body("sandbox/chat", "[[prompt=200000]]"),
        b"{",
        b"[]",
        b"",
    ],
)
def test_what_cannot_be_answered_is_400_and_costs_nothing(sandbox, body):
    status, answer, _ = sandbox.call("POST", CHAT, body, key=sandbox.settings.api_key)
    assert status == answer["error"]["code"] == 400
    assert sandbox.books()["totals"]["requests"] == 0


def test_older_clients_and_unknown_fields_are_accepted(sandbox):
    status, _, _ = ask(
        sandbox,
        "sandbox/chat",
        usage={"include": True},
        stream_options={"include_usage": True},
        temperature=0.5,
        transforms=[],
        nonsense={"x": [1]},
    )
    assert status == 200


def test_legacy_completions_answer_text(sandbox):
    body = {"model": "openai/gpt-4o-mini", "prompt": "12345678", "max_tokens": 10}
    status, answer, headers = sandbox.call("POST", "/api/v1/completions", body, key=sandbox.settings.api_key)
    assert (status, answer["object"]) == (200, "text_completion")
    assert headers["x-generation-id"] == answer["id"]
    assert answer["usage"]["prompt_tokens"] == 2
    assert count_tokens(answer["choices"][0]["text"]) == 10
    assert cost(answer) == Decimal("0.0000063")
    streamed = stream(sandbox, "openai/gpt-4o-mini", path="/api/v1/completions", prompt="12345678", max_tokens=10)
    text = "".join(choice["text"] for event in streamed.events for choice in event["choices"])
    assert text == answer["choices"][0]["text"]
    assert streamed.usages[-1]["cost"] == cost(answer)
