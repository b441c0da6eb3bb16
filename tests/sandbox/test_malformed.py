"""Whatever is sent, the answer is JSON with a status that blames the sender, never a server error."""

import asyncio
import json
import random

import pytest

from sandbox.app import Sandbox
from sandbox.settings import Settings

STRANGE = [
    None,
    True,
    -5,
    1.5,
    10**12,
    "",
    "x",
    [],
    [1],
    [None],
    {},
    [{}],
    [{"type": "text"}],
    [{"type": "image_url"}],
    [{"type": "input_audio", "input_audio": None}],
    {"function": None},
    {"type": "json_schema", "json_schema": None},
    {"type": "json_schema", "json_schema": {"schema": {"enum": {}}}},
    {"max_price": {"prompt": "NaN"}},
    {"max_price": []},
    {"order": "x", "only": 5},
    {"effort": []},
    [{"function": {"name": None, "parameters": []}}],
    "required",
]
CHAT = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
BODIES = {
    "/api/v1/chat/completions": {
        **CHAT,
        **dict.fromkeys(["models", "max_tokens", "stream", "provider", "service_tier", "plugins", "tools"]),
        **dict.fromkeys(["tool_choice", "reasoning", "reasoning_effort", "response_format", "user"]),
    },
    "/api/v1/completions": {"model": "openai/gpt-4o", "prompt": "hello", "stream": None},
    "/api/v1/embeddings": {"model": "openai/text-embedding-3-small", "input": "x", "dimensions": None},
    "/api/v1/audio/speech": {"model": "openai/gpt-4o-mini-tts", "input": "x", "response_format": None},
    "/api/v1/keys": {"name": "x", **dict.fromkeys(["limit", "limit_reset", "expires_at", "external"])},
    "/api/v1/byok": {"provider": "openai", "key": "x", **dict.fromkeys(["allowed_models", "disabled"])},
    "/_sandbox/clock": {"now": None, "offset": None},
}


async def status_of(app: Sandbox, path: str, body: object) -> int:
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message):
        sent.append(message)

    settings = Settings()
    key = settings.management_key if path.endswith(("keys", "byok")) else settings.api_key
    await app(
        {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "client": ("127.0.0.1", 1),
            "headers": [(b"authorization", f"Bearer {key}".encode())],
        },
        receive,
        send,
    )
    return sent[0]["status"]


@pytest.mark.parametrize("path", BODIES)
def test_no_body_however_strange_is_a_server_error(path):
    app = Sandbox(Settings())
    picker = random.Random(path)
    for _ in range(300):
        body = {name: value for name, value in BODIES[path].items() if value is not None}
        for name in picker.sample(sorted(BODIES[path]), k=min(2, len(BODIES[path]))):
            strange = picker.choice(STRANGE)
            body[name] = [{"role": "user", "content": strange}] if name == "messages" else strange
        assert asyncio.run(status_of(app, path, body)) in (200, 201, 400), body
        app.clock.offset = 0


def test_a_body_beyond_any_size_is_413(sandbox):
    body = b'{"model": "' + b"x" * (33 * 1024 * 1024)
    status, answer, _ = sandbox.call("POST", "/api/v1/chat/completions", body, key=sandbox.settings.api_key)
    assert (status, answer["error"]["code"]) == (413, 413)
