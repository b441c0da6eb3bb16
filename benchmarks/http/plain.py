"""The same forwarding without keys, prices, limits or books: what carrying a call costs at the least here.

``UPSTREAM=http://127.0.0.1:4900 granian --interface asgi benchmarks.http.plain:application``
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

Message = MutableMapping[str, Any]
_UPSTREAM = os.environ.get("UPSTREAM", "")
_session: aiohttp.ClientSession | None = None


def _client() -> aiohttp.ClientSession:
    global _session
    if _session is None:
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
    return _session


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Forward one request and its answer, piece by piece."""
    if scope["type"] != "http":
        return
    body = (await receive()).get("body", b"")
    headers = {"content-type": "application/json"}
    async with _client().post(_UPSTREAM + scope["path"], data=body, headers=headers) as response:
        kind = response.headers["content-type"].encode()
        if kind.startswith(b"application/json"):
            data = await response.read()
            start = [(b"content-type", kind), (b"content-length", b"%d" % len(data))]
            await send({"type": "http.response.start", "status": response.status, "headers": start})
            await send({"type": "http.response.body", "body": data})
            return
        await send({"type": "http.response.start", "status": response.status, "headers": [(b"content-type", kind)]})
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
