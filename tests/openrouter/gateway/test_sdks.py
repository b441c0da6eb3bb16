"""The real ``openai`` and ``openrouter`` clients, unmodified: only the address differs."""

import asyncio
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import openai
import pytest

from tests.openrouter.gateway.conftest import MARKUP, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
QUESTION = [{"role": "user", "content": "Say hello [[tokens=24]]"}]
MODEL = "openai/gpt-4o-mini"


@pytest.fixture
def buyer(customer):
    return customer(credit="10")


@pytest.fixture
def poor(customer):
    return customer(credit="0")


def settled_exactly(buyer, calls=1):
    account, billed = buyer.account, buyer.billed
    assert billed > 0
    assert len(buyer.charges) == calls
    assert account.held == 0
    assert account.balance == 10 - billed * (1 + MARKUP)


def openai_client(buyer, served, **options):
    return openai.OpenAI(base_url=served.base_url, api_key=buyer.secret, max_retries=0, **options)


def test_openai_answers(buyer, served):
    with openai_client(buyer, served) as client:
        answer = client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens == 24
    settled_exactly(buyer)


def test_openai_streams(buyer, served):
    with openai_client(buyer, served) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].usage.completion_tokens == 24
    settled_exactly(buyer)


async def test_openai_async_answers_and_streams(buyer, served):
    async with openai.AsyncOpenAI(base_url=served.base_url, api_key=buyer.secret, max_retries=0) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=QUESTION)
        stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
    assert answer.usage.completion_tokens == chunks[-1].usage.completion_tokens == 24
    await asyncio.to_thread(settled_exactly, buyer, 2)


def test_openai_finds_models(buyer, served):
    with openai_client(buyer, served) as client:
        model = client.models.retrieve(MODEL)
        assert (model.id, model.object, model.owned_by) == (MODEL, "model", "openai")
        assert MODEL in {each.id for each in client.models.list()}
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("nobody/nothing")


def test_openai_reads_what_the_call_cost_from_the_headers(buyer, served):
    with openai_client(buyer, served) as client:
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION)
    assert Decimal(raw.headers["x-farebox-charge"]) == buyer.event.charge
    assert raw.parse().choices


def test_openai_embeds(buyer, served):
    with openai_client(buyer, served) as client:
        answer = client.embeddings.create(model="openai/text-embedding-3-small", input=["one", "two words"])
    assert len(answer.data) == 2
    assert len(answer.data[0].embedding) == 1536
    settled_exactly(buyer)
    assert buyer.event.kind == "embedding"


def test_openai_completes_text(buyer, served):
    with openai_client(buyer, served) as client:
        answer = client.completions.create(model=MODEL, prompt="Once upon a time [[tokens=12]]", max_tokens=50)
        chunks = list(client.completions.create(model=MODEL, prompt="Once [[tokens=12]]", max_tokens=50, stream=True))
    assert answer.choices[0].text
    assert len(chunks) > 2
    settled_exactly(buyer, 2)


def test_openai_speaks_and_the_price_is_looked_up(buyer, served):
    with openai_client(buyer, served) as client:
        sound = client.audio.speech.create(model="openai/gpt-4o-mini-tts", voice="alloy", input="Hello there, world.")
    assert len(sound.content) > 100
    buyer.wait_until_settled()
    settled_exactly(buyer)
    assert (buyer.event.kind, buyer.event.quantity) == ("tts", 19)


def test_openai_calls_tools(buyer, served):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    asking = {"tools": [tool], "tool_choice": "required"}
    with openai_client(buyer, served) as client:
        answer = client.chat.completions.create(model=MODEL, messages=QUESTION, **asking)
        chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True, **asking))
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    assert any(chunk.choices and chunk.choices[0].delta.tool_calls for chunk in chunks)
    settled_exactly(buyer, 2)


def test_openai_understands_the_refusals(poor, served):
    with openai_client(poor, served) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            client.chat.completions.create(model=MODEL, messages=QUESTION)
        assert (refused.value.status_code, refused.value.type) == (402, "insufficient_credits")
        assert refused.value.body["metadata"]["available"] == "0"
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nobody/nothing", messages=QUESTION)
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model=MODEL, messages=[])
    stranger = openai.OpenAI(base_url=served.base_url, api_key="fbx_live_" + "x" * 43, max_retries=0)
    with stranger as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert poor.generations == []


def test_openai_sees_an_error_in_the_middle_of_a_stream(buyer, served):
    with openai_client(buyer, served) as client, pytest.raises(openai.APIError, match="disconnected"):
        list(client.chat.completions.create(model="sandbox/fault-sse-error", messages=QUESTION, stream=True))
    buyer.wait_until_settled()
    assert buyer.account.balance == 10 - buyer.billed * (1 + MARKUP)


def test_the_openrouter_sdk_makes_the_same_of_our_answers(buyer, poor, served):
    arguments = [served.base_url, buyer.secret, poor.secret]
    script = Path(__file__).with_name("openrouter_client.py")
    ran = subprocess.run([sys.executable, "-I", script, *arguments], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert [seen[name] for name in ("whole", "stream", "async_whole", "async_stream")] == [24] * 4
    assert seen["vectors"] == 1
    assert seen["audio"] > 0
    assert seen["models"] > 100
    assert seen["endpoints"] == ["OpenAI", "Azure"]
    assert seen["key"][1] is False
    assert seen["credits"] == 10
    assert seen["looked_up"] > 0
    assert seen["refusals"] == {
        "poor": ["PaymentRequiredResponseError", 402],
        "unknown": ["NotFoundResponseError", 404],
        "moderation": ["ForbiddenResponseError", 403],
        "timeout": ["RequestTimeoutResponseError", 408],
        "limited": ["TooManyRequestsResponseError", 429],
        "broken": ["BadGatewayResponseError", 502],
        "overloaded": ["ProviderOverloadedResponseError", 529],
    }
    billed = buyer.billed
    wait_for(lambda: buyer.account.balance == 10 - billed * (1 + MARKUP))
    assert poor.generations == []
