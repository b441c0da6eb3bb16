"""Run by test_sdks.py in an isolated interpreter, where ``openrouter`` is the official SDK and not our application.

Arguments: base URL, API key, API key of a customer without credit. Prints one JSON object of what the SDK made of it.
"""

import asyncio
import json
import sys

from openrouter import OpenRouter, errors

base, secret, poor_secret = sys.argv[1:4]
client = OpenRouter(api_key=secret, server_url=base)
poor = OpenRouter(api_key=poor_secret, server_url=base)
MODEL = "openai/gpt-4o-mini"
QUESTION = [{"role": "user", "content": "Say hello [[tokens=24]]"}]
seen = {}


def infer():
    whole = client.chat.send(model=MODEL, messages=QUESTION)
    seen["whole"], seen["id"] = whole.usage.completion_tokens, whole.id
    with client.chat.send(model=MODEL, messages=QUESTION, stream=True) as events:
        seen["stream"] = list(events)[-1].usage.completion_tokens
    seen["vectors"] = len(client.embeddings.generate(model="openai/text-embedding-3-small", input="hello").data)
    speech = client.tts.create_speech(model="openai/gpt-4o-mini-tts", input="hello", voice="alloy")
    seen["audio"] = len(speech.read())


async def infer_async():
    async with OpenRouter(api_key=secret, server_url=base) as other:
        whole = await other.chat.send_async(model=MODEL, messages=QUESTION)
        seen["async_whole"] = whole.usage.completion_tokens
        stream = await other.chat.send_async(model=MODEL, messages=QUESTION, stream=True)
        async with stream as events:
            seen["async_stream"] = [chunk async for chunk in events][-1].usage.completion_tokens


def read():
    seen["models"] = len(client.models.list().result.data)
    endpoints = client.endpoints.list(author="openai", slug="gpt-4o-mini").data.endpoints
    seen["endpoints"] = [endpoint.provider_name for endpoint in endpoints]
    key = client.api_keys.get_current_key_metadata().data
    seen["key"] = [key.usage, key.is_management_key]
    seen["credits"] = client.credits.get_credits().data.total_credits
    seen["looked_up"] = client.generations.get_generation(id=seen["id"]).data.total_cost


def refuse():
    seen["refusals"] = {}
    for name, caller, model in (
        ("poor", poor, MODEL),
        ("unknown", client, "nobody/nothing"),
        ("moderation", client, "sandbox/fault-403-moderation"),
        ("timeout", client, "sandbox/fault-408"),
        ("limited", client, "sandbox/fault-429"),
        ("broken", client, "sandbox/fault-502"),
        ("overloaded", client, "sandbox/fault-529"),
    ):
        try:
            caller.chat.send(model=model, messages=QUESTION, retries=None)
        except errors.OpenRouterError as error:
            seen["refusals"][name] = [type(error).__name__, error.status_code]


infer()
asyncio.run(infer_async())
read()
refuse()
print(json.dumps(seen))
