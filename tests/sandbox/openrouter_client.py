"""Run by test_sdks.py in an isolated interpreter, where ``openrouter`` is the official SDK and not our application.

Arguments: base URL, management key, inference key. Prints one JSON object of what the SDK made of the answers.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

from openrouter import OpenRouter, errors

base, management, inference = sys.argv[1:4]
admin = OpenRouter(api_key=management, server_url=base)
client = OpenRouter(api_key=inference, server_url=base)
HELLO = [{"role": "user", "content": "[[prompt=1000 tokens=200 reasoning=0]]"}]
seen = {}


def administer():
    made = admin.api_keys.create(
        name="sdk", limit=5.5, limit_reset="monthly", expires_at=datetime(2030, 1, 1, tzinfo=UTC)
    )
    hash_ = made.data.hash
    seen["key_limit"] = admin.api_keys.get(hash=hash_).data.limit
    seen["listed"] = [key.name for key in admin.api_keys.list().data]
    seen["limit_after_null"] = admin.api_keys.update(hash=hash_, limit=None).data.limit
    seen["own"] = client.api_keys.get_current_key_metadata().data.is_management_key
    seen["deleted"] = admin.api_keys.delete(hash=hash_).DELETED
    credential = admin.byok.create(provider="openai", key="sk-12345678", allowed_api_key_hashes=[hash_])
    admin.byok.update(id=credential.data.id, disabled=True)
    seen["byok_disabled"] = admin.byok.get(id=credential.data.id).data.disabled
    seen["byok_count"] = len(admin.byok.list().result.data)
    admin.byok.delete(id=credential.data.id)
    seen["total_credits"] = admin.credits.get_credits().data.total_credits
    seen["activity"] = admin.analytics.get_user_activity().data


def infer():
    whole = client.chat.send(model="openai/gpt-4o-mini", messages=HELLO)
    seen["cost"] = whole.usage.cost
    with client.chat.send(model="openai/gpt-4o-mini", messages=HELLO, stream=True) as events:
        chunks = list(events)
    seen["stream_cost"] = chunks[-1].usage.cost
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    seen["same_text"] = said == whole.choices[0].message.content
    seen["looked_up"] = client.generations.get_generation(id=whole.id).data.total_cost
    seen["models"] = len(client.models.list().result.data)
    seen["model"] = client.models.get(author="openai", slug="gpt-4o-mini").data.id
    endpoints = client.endpoints.list(author="openai", slug="gpt-oss-120b").data.endpoints
    seen["endpoints"] = [endpoint.provider_name for endpoint in endpoints]
    vector = client.embeddings.generate(model="openai/text-embedding-3-small", input="hello")
    seen["embedding"] = len(vector.data[0].embedding)
    speech = client.tts.create_speech(model="openai/gpt-4o-mini-tts", input="hello", voice="alloy")
    seen["audio"] = len(speech.read())


def fail():
    seen["errors"] = {}
    for kind in ("400", "402-credits", "403-moderation", "404", "408", "429", "500", "502", "503", "529"):
        try:
            client.chat.send(model=f"sandbox/fault-{kind}", messages=HELLO, retries=None)
        except errors.OpenRouterError as error:
            seen["errors"][kind] = [type(error).__name__, error.status_code]
    for kind in ("split", "crlf", "usage-openai", "usage-null", "keepalive", "extra-fields"):
        with client.chat.send(model=f"sandbox/fault-{kind}", messages=HELLO, stream=True, retries=None) as events:
            seen[kind] = list(events)[-1].usage.cost


async def infer_async():
    async with OpenRouter(api_key=inference, server_url=base) as other:
        whole = await other.chat.send_async(model="openai/gpt-4o-mini", messages=HELLO)
        seen["async_cost"] = whole.usage.cost
        stream = await other.chat.send_async(model="openai/gpt-4o-mini", messages=HELLO, stream=True)
        async with stream as events:
            seen["async_stream_cost"] = [chunk async for chunk in events][-1].usage.cost


administer()
infer()
fail()
asyncio.run(infer_async())
print(json.dumps(seen))
