"""One HTTP exchange of the gateway, straight on ASGI: reading a bounded body, answering whole or in pieces."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from core import jsonio
from openrouter.gateway.errors import CallRefused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json")
NO_STORE: Header = (b"cache-control", b"no-store")


_GLANCE = 0.01  # seconds, to be told of a client that has left


class ClientGone(Exception):
    """The client closed the connection before its request was complete, or broke its framing."""


class Exchange:
    """A request and the way to answer it. Sending to a client that has left is not an error: it does nothing."""

    __slots__ = (
        "_came",
        "_receive",
        "_send",
        "before_end",
        "body",
        "gone",
        "headers",
        "is_final",
        "method",
        "path",
        "recording",
        "scope",
        "sent_headers",
        "sent_status",
        "started",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])  # lower-case names; of repeated ones the last
        self.body = b""
        self.gone = False
        self.started = False
        self.is_final = False  # the answer is the outcome of a call, and stays so when the request is repeated
        self.recording: bytearray | None = None  # the answer's body, when it is to be kept
        self.before_end: Callable[[], Awaitable[None]] | None = None  # awaited once, before the last piece goes out
        self.sent_status = 0
        self.sent_headers: list[Header] = []
        self._came = time.monotonic()
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str:
        """A request header (lower-case name) as text; empty when absent."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""

    def query(self) -> dict[str, str]:
        """The query parameters; of repeated ones the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    async def read(self, largest: int) -> bytes:
        """The whole body. Raises ClientGone, or CallRefused (413) beyond ``largest`` bytes."""
        announced = self.header(b"content-length")
        if announced.isdecimal() and int(announced) > largest:
            raise _too_large(largest)
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            pieces = [body]
            size = len(body)
            while message.get("more_body"):
                message = await self._receive()
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > largest:
                    raise _too_large(largest)
            body = b"".join(pieces)
        if message["type"] == "http.disconnect":
            raise ClientGone
        if len(body) > largest:
            raise _too_large(largest)
        self.body = body
        return body

    @property
    def waited(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self._came

    async def has_left(self) -> bool:
        """Whether the client has left by now; to be called after the body was read."""
        if not self.gone:
            watching = asyncio.ensure_future(self.watch())
            await asyncio.wait({watching}, timeout=_GLANCE)
            watching.cancel()
        return self.gone

    async def watch(self) -> None:
        """Return when the client has left; to be called after the body was read."""
        while not self.gone:
            if (await self._receive())["type"] == "http.disconnect":
                self.gone = True

    async def start(self, status: int, headers: list[Header]) -> None:
        """Send status and headers."""
        self.started = True
        self.sent_status, self.sent_headers = status, headers
        await self._emit({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._record(data)
        await self._emit({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece."""
        self._record(data)
        if self.before_end is not None:
            hook, self.before_end = self.before_end, None
            await hook()
        await self._emit({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, body: bytes, headers: list[Header]) -> None:
        """Send a whole answer; ``headers`` name its type."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.finish(body)

    async def answer_json(self, document: Any, headers: "list[Header] | tuple[Header, ...]" = ()) -> None:
        """Send a document with status 200."""
        await self.answer(200, jsonio.dumps(document), [JSON_TYPE, NO_STORE, *headers])

    async def refuse(self, refusal: CallRefused, headers: "list[Header] | tuple[Header, ...]" = ()) -> None:
        """Send an error answer."""
        await self.answer(refusal.status, refusal.body(), [JSON_TYPE, *refusal.headers, *headers])

    def _record(self, data: bytes) -> None:
        if self.recording is not None:
            self.recording += data

    async def _emit(self, message: Message) -> None:
        if self.gone:
            return
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # what servers raise when the connection is closed
            self.gone = True


def _too_large(largest: int) -> CallRefused:
    return CallRefused(413, f"The request body is larger than {largest} bytes.", "payload_too_large")
