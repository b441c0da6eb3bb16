"""Each way to meter, with the real library that it wraps; only the model provider's answers are ours."""

import asyncio
import json
import threading
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import httpx2
import pytest
from farebox import QueueFull
from farebox.strategies import anthropic as with_anthropic
from farebox.strategies import openai as with_openai
from farebox.strategies.elapsed import elapsed
from farebox.strategies.stream import counted, counted_async
from farebox.strategies.usage import LlmUsage, Meter

HI = [{"role": "user", "content": "hi"}]
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-large",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": USAGE,
}


def chunk(content=None, usage=None):
    choices = [] if content is None else [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    made = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-large", "choices": choices}
    return made | ({"usage": usage} if usage else {})


def events(*documents):
    return "".join(f"data: {json.dumps(document)}\n\n" for document in documents) + "data: [DONE]\n\n"


def openai_answers(request):
    body = json.loads(request.content)
    if request.url.path.endswith("/embeddings"):
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        return httpx.Response(200, json={"object": "list", "model": "m-embed", "data": data, "usage": usage})
    if request.url.path.endswith("/responses"):
        usage = {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}
        usage |= {"input_tokens_details": {"cached_tokens": 10}, "output_tokens_details": {"reasoning_tokens": 2}}
        made = {"id": "r1", "object": "response", "created_at": 1, "model": "m-resp", "output": [], "usage": usage}
        return httpx.Response(200, json=made)
    if not body.get("stream"):
        return httpx.Response(200, json=CHAT)
    pieces = [chunk("he"), chunk("llo")]
    if body.get("stream_options", {}).get("include_usage"):
        pieces.append(chunk(usage=USAGE))
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=events(*pieces))


def openai_client():
    from openai import OpenAI

    return OpenAI(api_key="k", http_client=httpx.Client(transport=httpx.MockTransport(openai_answers)))


def async_openai_client():
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key="k", http_client=httpx.AsyncClient(transport=httpx.MockTransport(openai_answers)))


def tokens(event):
    facts = event.metadata
    return facts["model"], facts["inputTokens"], facts["cachedInputTokens"], facts["outputTokens"]


def test_openai_chats_are_counted(meter, collector):
    answer = with_openai.metered(openai_client(), meter).chat.completions.create(model="m", messages=HI)
    assert answer.choices[0].message.content == "hello"
    event = collector.event
    assert (event.name, event.external_customer_id, event.status) == ("llm-usage", "user_42", "ok")
    assert tokens(event) == ("m-large", 100, 40, 20)
    assert event.metadata["totalTokens"] == 120
    assert event.metadata["_llm"] == {
        "vendor": "openai",
        "model": "m-large",
        "input_tokens": 100,
        "cached_input_tokens": 40,
        "output_tokens": 20,
        "total_tokens": 120,
    }
    assert (event.model, event.prompt_tokens) == ("", 0), "not priced unless asked to"


def test_openai_streams_are_counted_and_look_as_before(meter, collector):
    client = with_openai.metered(openai_client(), meter)
    plain = list(openai_client().chat.completions.create(model="m", messages=HI, stream=True))
    assert list(client.chat.completions.create(model="m", messages=HI, stream=True)) == plain
    assert tokens(collector.events[0]) == ("m-large", 100, 40, 20)
    asked = {"include_usage": True}
    pieces = list(client.chat.completions.create(model="m", messages=HI, stream=True, stream_options=asked))
    assert pieces[-1].usage.total_tokens == 120
    assert len(collector.events) == 2


def test_a_stream_that_is_left_is_reported_without_figures(meter, collector):
    with with_openai.metered(openai_client(), meter).chat.completions.create(
        model="m", messages=HI, stream=True
    ) as stream:
        for _ in stream:
            break
    event = collector.event
    assert (event.status, event.metadata["usage"], event.metadata["model"]) == ("cancelled", "missing", "m-large")


def test_a_stream_may_be_read_in_several_goes(meter, collector):
    """A look at the first piece, and then the rest."""
    stream = with_openai.metered(openai_client(), meter).chat.completions.create(model="m", messages=HI, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "he"
    assert collector.events == []
    assert [piece.choices[0].delta.content for piece in stream] == ["llo"]
    assert (tokens(collector.event), collector.event.status) == (("m-large", 100, 40, 20), "ok")


def test_a_copy_of_a_client_is_metered_too(meter, collector):
    client = with_openai.metered(openai_client(), meter).with_options(timeout=5).copy(max_retries=0)
    client.chat.completions.create(model="m", messages=HI)
    client.chat.completions.parse(model="m", messages=HI)
    assert [tokens(event) for event in collector.events] == [("m-large", 100, 40, 20)] * 2


def test_what_cannot_be_recorded_breaks_nothing_that_is_metered(caplog):
    class Full:
        def record(self, event):
            raise QueueFull("100,000 events wait for the server.")

    client = with_openai.metered(openai_client(), Meter(Full(), customer="user_42"))
    answer = client.chat.completions.create(model="m", messages=HI)
    assert answer.choices[0].message.content == "hello"
    assert "'llm-usage' of 'user_42' was not recorded" in caplog.text


def test_openai_responses_and_embeddings_are_counted(meter, collector):
    client = with_openai.metered(openai_client(), meter)
    client.responses.create(model="m", input="hi")
    client.embeddings.create(model="m", input="hi")
    assert [tokens(event) for event in collector.events] == [("m-resp", 30, 10, 4), ("m-embed", 7, 0, 0)]


async def test_openais_async_client_is_counted(meter, collector):
    client = with_openai.metered(async_openai_client(), meter)
    await client.chat.completions.create(model="m", messages=HI)
    stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
    assert len([piece async for piece in stream]) == 2
    assert [tokens(event) for event in collector.events] == [("m-large", 100, 40, 20)] * 2


def test_a_failed_call_is_the_callers_and_not_counted(meter, collector):
    from openai import OpenAI, RateLimitError

    refusing = httpx.MockTransport(lambda request: httpx.Response(429, json={"error": {"message": "later"}}))
    client = with_openai.metered(
        OpenAI(api_key="k", max_retries=0, http_client=httpx.Client(transport=refusing)), meter
    )
    with pytest.raises(RateLimitError):
        client.chat.completions.create(model="m", messages=HI)
    assert collector.events == []


def test_priced_usage_names_model_and_tokens(collector):
    meter = Meter(collector, priced=True, model_prefix="openai/", metadata={"feature": "search"})
    meter.record(LlmUsage("openai", "gpt-4o-mini", 100, 20, 40, 5, 3))
    event = collector.event
    assert (event.model, event.provider, event.kind) == ("openai/gpt-4o-mini", "openai", "chat")
    assert (event.prompt_tokens, event.completion_tokens) == (100, 20)
    assert (event.cached_tokens, event.cache_write_tokens, event.reasoning_tokens) == (40, 5, 3)
    assert event.metadata["feature"] == "search"


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 50,
        "output_tokens": 9,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 20,
    },
}


def anthropic_answers(request):
    """Anthropic's client speaks through the next generation of httpx2."""
    if not json.loads(request.content).get("stream"):
        return httpx2.Response(200, json=MESSAGE)
    start = MESSAGE | {"content": [], "stop_reason": None, "usage": MESSAGE["usage"] | {"output_tokens": 1}}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    told = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    text = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in told)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=text)


def test_anthropic_messages_are_counted_whole_streamed_and_gathered(meter, collector):
    from anthropic import Anthropic

    client = with_anthropic.metered(
        Anthropic(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(anthropic_answers))), meter
    )
    ask = {"model": "claude-x", "max_tokens": 100, "messages": HI}
    assert client.messages.create(**ask).content[0].text == "hello"
    assert len(list(client.messages.create(**ask, stream=True))) == 6
    with client.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == "hello"
    # 50 beside the cache, 30 read from it, 20 written into it
    assert [tokens(event) for event in collector.events] == [("claude-x", 100, 30, 9)] * 3
    assert {event.status for event in collector.events} == {"ok"}


async def test_anthropics_async_client_is_counted(meter, collector):
    from anthropic import AsyncAnthropic

    transport = httpx2.MockTransport(anthropic_answers)
    client = with_anthropic.metered(
        AsyncAnthropic(api_key="k", http_client=httpx2.AsyncClient(transport=transport)), meter
    )
    ask = {"model": "claude-x", "max_tokens": 100, "messages": HI}
    await client.messages.create(**ask)
    assert len([event async for event in await client.messages.create(**ask, stream=True)]) == 6
    async with client.messages.stream(**ask) as stream:
        async for _ in stream.text_stream:
            pass
    assert [tokens(event) for event in collector.events] == [("claude-x", 100, 30, 9)] * 3


def test_a_pydantic_ai_run_is_counted(meter, collector):
    from farebox.strategies.pydantic_ai import record_run
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    agent = Agent(TestModel(custom_output_text="hello"))
    result = asyncio.run(agent.run("hi"))
    record_run(result, meter)
    usage = result.usage
    event = collector.event
    assert usage.input_tokens > 0
    assert tokens(event) == ("test", usage.input_tokens, 0, usage.output_tokens)
    assert (event.metadata["requests"], event.metadata["toolCalls"]) == (1, 0)


def test_langchain_models_are_counted(meter, collector):
    from farebox.strategies.langchain import FareboxCallback
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        model="m",
        api_key="k",
        http_client=httpx.Client(transport=httpx.MockTransport(openai_answers)),
        http_async_client=httpx.AsyncClient(transport=httpx.MockTransport(openai_answers)),
        stream_usage=True,
    )
    config = {"callbacks": [FareboxCallback(meter)]}
    assert model.invoke("hi", config=config).content == "hello"
    assert "".join(piece.content for piece in model.stream("hi", config=config)) == "hello"
    asyncio.run(model.ainvoke("hi", config=config))
    # a piece of a stream does not always name the model that served: then it is the one that was asked for
    models = ["m-large", "m", "m-large"]
    assert [tokens(event) for event in collector.events] == [(model, 100, 40, 20) for model in models]
    assert collector.events[0].latency_ms is not None


def test_litellm_is_counted_by_its_callbacks(meter, collector, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm
    from farebox.strategies.litellm import FareboxLogger

    monkeypatch.setattr(litellm, "callbacks", [FareboxLogger(meter)])
    asking = {"model": "gpt-4o-mini", "messages": HI, "mock_response": "hello", "user": "user_7"}
    made = litellm.completion(**asking)
    wait_for(lambda: collector.events)
    event = collector.event
    assert event.external_customer_id == "user_7"
    assert tokens(event)[1:] == (made.usage.prompt_tokens, 0, made.usage.completion_tokens)
    # list prices of the model: 0.15 and 0.60 USD for a million tokens; cents here
    cents = (made.usage.prompt_tokens * Decimal("0.15") + made.usage.completion_tokens * Decimal("0.6")) / 10_000
    assert Decimal(event.metadata["_cost"]["amount"]) == cents

    async def ask():
        await litellm.acompletion(**asking)
        async with asyncio.timeout(60):  # it tells of the call later, on this loop
            while len(collector.events) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert len(collector.events) == 2


def wait_for(condition, seconds=60):
    done = threading.Event()
    for _ in range(int(seconds * 50)):
        if condition():
            return
        done.wait(0.02)
    raise AssertionError("it did not come")


class Storage(BaseHTTPRequestHandler):
    """Takes objects in, as far as a client can see."""

    def do_PUT(self):
        status = 403 if "forbidden" in self.path else 200
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@contextmanager
def storage():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_uploads_are_counted_by_their_bytes(collector):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError
    from farebox.strategies.s3 import metered

    with storage() as url:
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0})
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-west-1"}
        client = metered(
            boto3.client("s3", endpoint_url=url, config=config, **keys),
            Meter(collector, name="storage-upload", customer="user_42"),
        )
        client.put_object(Bucket="files", Key="a/b.txt", Body=b"x" * 1234, ContentType="text/plain")
        client.upload_part(Bucket="files", Key="big", PartNumber=1, UploadId="u", Body=b"y" * 777)
        with pytest.raises(ClientError):
            client.put_object(Bucket="files", Key="forbidden", Body=b"z")
    first, second = collector.events
    assert (first.name, first.external_customer_id) == ("storage-upload", "user_42")
    assert first.metadata == {
        "strategy": "S3",
        "bytes": 1234,
        "bucket": "files",
        "key": "a/b.txt",
        "contentType": "text/plain",
    }
    assert (second.metadata["bytes"], second.metadata["key"]) == (777, "big")


def test_bytes_of_a_stream_are_counted_to_its_end_or_to_where_it_was_left(meter, collector):
    assert b"".join(counted([b"abc", b"de"], meter)) == b"abcde"
    left = counted([b"abc", b"de"], meter)
    next(left)
    left.close()

    async def read():
        async def chunks():
            yield b"1234567"

        return [chunk async for chunk in counted_async(chunks(), meter)]

    asyncio.run(read())
    assert [event.metadata["bytes"] for event in collector.events] == [5, 3, 7]


def test_elapsed_time_is_measured_also_of_what_fails(meter, collector):
    ticks = iter([1_000_000_000, 3_500_000_000, 0, 250_000])
    with elapsed(meter, clock=lambda: next(ticks), job="resize"):
        pass
    with pytest.raises(ZeroDivisionError), elapsed(meter, clock=lambda: next(ticks)):
        1 / 0  # noqa: B018
    assert [event.metadata["deltaTime"] for event in collector.events] == [2.5, 0.00025]
    assert collector.events[0].metadata["job"] == "resize"
