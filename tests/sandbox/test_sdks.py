"""The real SDKs, unmodified, pointed at the sandbox."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import openai
import pytest

from sandbox.text import count_tokens
from tests.sandbox.asking import eventually

QUESTION = [{"role": "user", "content": "[[prompt=1000 tokens=200 reasoning=0]]"}]
COST = 0.00027


@pytest.fixture
def client(sandbox):
    with openai.OpenAI(
        base_url=sandbox.base_url, api_key=sandbox.settings.api_key, max_retries=0, timeout=60
    ) as client:
        yield client


def test_openai_reads_a_whole_answer(client):
    answer = client.chat.completions.create(model="openai/gpt-4o-mini", messages=QUESTION)
    assert answer.usage.model_extra["cost"] == COST
    assert count_tokens(answer.choices[0].message.content) == 200


def test_openai_reads_a_stream(client):
    chunks = list(client.chat.completions.create(model="openai/gpt-4o-mini", messages=QUESTION, stream=True))
    assert chunks[-1].usage.model_extra["cost"] == COST
    assert count_tokens("".join(chunk.choices[0].delta.content for chunk in chunks)) == 200


async def test_openai_reads_both_asynchronously(sandbox):
    async with openai.AsyncOpenAI(base_url=sandbox.base_url, api_key=sandbox.settings.api_key, max_retries=0) as client:
        answer = await client.chat.completions.create(model="openai/gpt-4o-mini", messages=QUESTION)
        stream = await client.chat.completions.create(model="openai/gpt-4o-mini", messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
    assert answer.usage.model_extra["cost"] == chunks[-1].usage.model_extra["cost"] == COST


def test_openai_assembles_streamed_tool_calls(client):
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    with client.chat.completions.stream(
        model="openai/gpt-4o", messages=QUESTION, tools=tools, tool_choice="required"
    ) as stream:
        answer = stream.get_final_completion()
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("look", {})


def test_openai_reads_completions_embeddings_speech_and_models(client):
    text = client.completions.create(model="openai/gpt-4o-mini", prompt="hello", max_tokens=10)
    assert count_tokens(text.choices[0].text) == 10
    vectors = client.embeddings.create(model="openai/text-embedding-3-small", input=["a", "b"])
    assert [len(row.embedding) for row in vectors.data] == [1536, 1536]
    speech = client.audio.speech.create(model="openai/gpt-4o-mini-tts", voice="alloy", input="hello")
    assert len(speech.content) == 5 * 64
    assert "openai/gpt-4o-mini" in {model.id for model in client.models.list()}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403-moderation", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("422", openai.UnprocessableEntityError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("502-html", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ],
)
def test_openai_raises_its_own_errors(client, kind, error):
    with pytest.raises(error):
        client.chat.completions.create(model=f"sandbox/fault-{kind}", messages=QUESTION)


def test_openai_raises_on_an_error_event(client):
    with pytest.raises(openai.APIError, match="disconnected"):
        list(client.chat.completions.create(model="sandbox/fault-sse-error", messages=QUESTION, stream=True))


@pytest.mark.parametrize("kind", ["split", "crlf", "usage-openai", "usage-null", "keepalive", "extra-fields"])
def test_openai_reads_streams_in_every_dress(client, kind):
    chunks = list(client.chat.completions.create(model=f"sandbox/fault-{kind}", messages=QUESTION, stream=True))
    assert chunks[-1].usage.model_extra["cost"] == 0.0014


def test_openai_retries_a_flaky_model_by_itself(sandbox, client):
    answer = client.with_options(max_retries=2).chat.completions.create(model="sandbox/flaky-500-2", messages=QUESTION)
    assert answer.usage.completion_tokens == 200
    assert sandbox.books()["totals"]["requests"] == 1


def test_closing_an_openai_stream_stops_the_bill(sandbox, client):
    stream = client.chat.completions.create(model="sandbox/slow-cancellable", messages=QUESTION, stream=True)
    for place, _ in enumerate(stream):
        if place == 3:
            break
    stream.close()
    record = eventually(sandbox.generations)[0]
    assert record["cancelled"]
    assert 4 <= record["completion"] < 60


def test_the_openrouter_sdk_understands_every_answer(sandbox):
    script = Path(__file__).with_name("openrouter_client.py")
    run = subprocess.run(
        [
            sys.executable,
            "-I",
            str(script),
            sandbox.base_url,
            sandbox.settings.management_key,
            sandbox.settings.api_key,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert (seen["key_limit"], seen["limit_after_null"], seen["own"]) == (5.5, None, False)
    assert (seen["listed"][0], seen["deleted"]) == ("sdk", True)
    assert (seen["byok_disabled"], seen["byok_count"], seen["activity"]) == (True, 1, [])
    assert seen["total_credits"] == 1_000_000
    for name in ("cost", "stream_cost", "looked_up", "async_cost", "async_stream_cost"):
        assert seen[name] == COST
    assert seen["same_text"] is True
    assert (seen["model"], seen["endpoints"]) == ("openai/gpt-4o-mini", ["DeepInfra", "Groq"])
    assert (seen["embedding"], seen["audio"]) == (1536, 5 * 64)
    assert {kind: status for kind, (_, status) in seen["errors"].items()} == {
        kind: int(kind[:3])
        for kind in ("400", "402-credits", "403-moderation", "404", "408", "429", "500", "502", "503", "529")
    }
    for kind in ("split", "crlf", "usage-openai", "usage-null", "keepalive", "extra-fields"):
        assert seen[kind] == 0.0014
    assert sandbox.usage() == 4 * Decimal("0.00027") + 6 * Decimal("0.0014") + Decimal("0.00000304")
