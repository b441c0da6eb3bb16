"""A request's limits, read from its body."""

import json
from decimal import Decimal

import pytest

from core.errors import InvalidRequest
from metering.bounds import CallFacts
from metering.call_facts import (
    PLUGIN_SEARCHES,
    RESULT_TOKENS,
    TOOL_SEARCHES,
    chat_facts,
    embedding_facts,
    speech_facts,
)
from metering.errors import InvalidPrice, UnpriceableCall
from metering.prompt_size import PREAMBLE

MODEL = "vendor/model"


def facts(models=(MODEL,), context_length=None, **body) -> CallFacts:
    body.setdefault("messages", [{"role": "user", "content": "Hi"}])
    raw = json.dumps(body).encode()
    return chat_facts(body, raw, models=models, completion_cap=500, context_length=context_length)


def test_a_plain_chat():
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    assert facts() == CallFacts(
        prompt_tokens=len(json.dumps(body)) + PREAMBLE,
        completion_tokens=500,
        search_price=Decimal("0.02"),
        cache_write_1h=False,
    )


def test_several_answers():
    assert facts(n=3).answers == 3
    assert facts(prompt="x", best_of=4, n=2).answers == 4


@pytest.mark.parametrize("mark", ["1h", "12h"])
def test_a_long_lived_cache_is_seen(mark):
    content = [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": mark}}]
    assert facts(messages=[{"role": "user", "content": content}]).cache_write_1h


def test_output_modalities():
    assert facts().output_images is None
    assert facts(modalities=["text"]).output_images == 0
    assert facts(modalities=["text", "image"]).output_images is None
    assert facts(modalities=["text", "audio"]).audio_output


def test_tier_and_price_limits_are_read():
    limited = facts(service_tier="priority", provider={"max_price": {"prompt": 1, "completion": "2.5"}})
    assert limited.service_tier == "priority"
    assert limited.max_price == {"prompt": Decimal(1), "completion": Decimal("2.5")}


def test_the_web_plugin_adds_searches_and_what_they_find():
    plain = facts()
    searching = facts(plugins=[{"id": "web", "max_results": 10}])
    assert (searching.searches, searching.search_price) == (PLUGIN_SEARCHES, Decimal("0.04"))
    assert searching.prompt_tokens > plain.prompt_tokens + PLUGIN_SEARCHES * 10 * RESULT_TOKENS
    assert facts(plugins=[{"id": "web", "max_uses": 1}]).searches == 1
    assert facts(plugins=[{"id": "web", "enabled": False}]).searches == 0


@pytest.mark.parametrize(
    ("models", "searches"),
    [
        (["vendor/model:online"], 5),
        (["perplexity/sonar"], 5),
        (["openai/gpt-4o-search-preview"], 5),
        (["openai/o3-deep-research"], 30),
        (["vendor/model", "perplexity/sonar-deep-research"], 30),
        (["vendor/model"], 0),
    ],
)
def test_models_that_search_by_themselves(models, searches):
    assert facts(models=models).searches == searches


def test_the_search_tool_makes_a_turn_of_every_search():
    once = facts(tools=[{"type": "openrouter:web_search", "parameters": {"max_uses": 1}}], context_length=100_000)
    plain = facts(tools=[{"type": "function", "function": {}}])
    assert (once.searches, once.answers, once.context_length) == (1, 2, None)
    assert once.prompt_tokens > 2 * (plain.prompt_tokens + 5 * RESULT_TOKENS)
    assert facts(tools=[{"type": "openrouter:web_search"}]).searches == TOOL_SEARCHES


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "openrouter:fusion"}]},
        {"tools": [{"type": "code_interpreter"}]},
        {"plugins": [{"id": "fusion"}]},
        {"preset": "my-preset"},
        {"plugins": [{}]},
    ],
)
def test_what_runs_at_the_provider_without_a_known_limit_is_refused(body):
    with pytest.raises(UnpriceableCall):
        facts(**body)


def test_documents_add_the_fee_of_reading_them_unless_the_parser_is_free():
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "A" * 20_000}}
    messages = [{"role": "user", "content": [part]}]
    assert facts(messages=messages).fees == Decimal("0.022")  # at most 11 pages
    free = [{"id": "file-parser", "pdf": {"engine": "native"}}]
    assert facts(messages=messages, plugins=free).fees == 0
    linked = [{"role": "user", "content": [{"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}]}]
    assert facts(messages=linked, context_length=128_000).fees == Decimal("0.2")


@pytest.mark.parametrize(
    "body",
    [
        {"n": 0},
        {"n": "2"},
        {"n": True},
        {"plugins": {"id": "web"}},
        {"tools": "all"},
        {"tools": ["all"]},
        {"service_tier": 1},
        {"plugins": [{"id": "web", "max_results": -5}]},
        {"provider": {"max_price": 5}},
    ],
)
def test_fields_of_the_wrong_shape_are_refused(body):
    with pytest.raises((InvalidRequest, InvalidPrice)):
        facts(**body)


def test_embeddings_have_no_answer():
    body = {"model": MODEL, "input": ["a", "b"]}
    raw = json.dumps(body).encode()
    limits = embedding_facts(body, raw, models=[MODEL])
    assert (limits.prompt_tokens, limits.completion_tokens) == (len(raw) + PREAMBLE, 0)


def test_speech_is_bounded_by_its_bytes():
    assert speech_facts({"input": "Größe"}).characters == 7
    with pytest.raises(InvalidRequest):
        speech_facts({"input": ["Hi"]})
