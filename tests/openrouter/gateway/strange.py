"""An upstream that says, byte for byte, what a test tells it to, and bills what the test says it bills."""

import asyncio
import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

from tests.openrouter.gateway.serving import HOST

CUT = object()  # the connection is reset here


@dataclass
class Script:
    """What is done for one call: for each request of it bytes to send, seconds to wait, or CUT; then the end."""

    requests: list[list]
    bill: str = "0"  # USD, as the provider writes it
    record: dict | None = None  # further members of the generation's record; None: there is none
    absent: int = 0  # how often its record is said not to be there yet
    id: str = ""


@dataclass
class Strange:
    """A server on a loopback port; a request names its script as the text of its first message."""

    scripts: dict[str, Script]
    usage: Counter = field(default_factory=Counter)  # USD by hash of key
    asked: Counter = field(default_factory=Counter)  # by script, then by generation

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, HOST, 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/api/v1"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader, writer) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            words, headers = head.split(" ", 2), dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            headers = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            key = headers.get("authorization", "").removeprefix("Bearer ")
            if words[0] == "POST":
                await self._call(json.loads(body), hashlib.sha256(key.encode()).hexdigest(), writer)
            else:
                await self._read(words[1], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _call(self, body, key, writer) -> None:
        name = body["messages"][0]["content"]
        script = self.scripts[name]
        steps = script.requests[min(self.asked[name], len(script.requests) - 1)]
        self.asked[name] += 1
        if self.asked[name] == len(script.requests):
            self.usage[key] += Decimal(script.bill)
        for step in steps:
            if step is CUT:
                writer.transport.abort()
                return
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            else:
                await asyncio.sleep(step)

    async def _read(self, target, writer) -> None:
        url = urlsplit(target)
        if "/keys/" in url.path:
            hash = url.path.rpartition("/")[2]
            writer.write(answer(f'{{"data": {{"hash": "{hash}", "usage": {self.usage[hash]:f}}}}}'))
        else:
            [id] = parse_qs(url.query)["id"]
            found = [script for script in self.scripts.values() if script.id == id and script.record is not None]
            self.asked[id] += 1
            if found and self.asked[id] > found[0].absent:
                record = {"id": id, "model": "openai/gpt-4o-mini", "native_tokens_prompt": 3, **found[0].record}
                cost = "" if "usage" in record else f', "total_cost": {found[0].bill}'
                writer.write(answer(f'{{"data": {json.dumps(record)[:-1]}{cost}}}}}'))
            else:
                writer.write(answer('{"error": {"code": 404, "message": "not found"}}', "404 Not Found"))
        await writer.drain()


def answer(body: str | bytes, status: str = "200 OK", type: str = "application/json", **headers: str) -> bytes:
    """A whole HTTP answer."""
    data = body.encode() if isinstance(body, str) else body
    return start(status, type, content_length=str(len(data)), **headers) + data


def start(status: str = "200 OK", type: str = "text/event-stream", **headers: str) -> bytes:
    """The head of an answer that ends with its connection."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {type}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()
