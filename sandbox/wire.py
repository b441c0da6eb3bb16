"""One HTTP exchange: reading the request, answering in JSON, and the two ways in which a call is refused."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from core.jsonio import exact_number

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
T = TypeVar("T")

LARGEST_BODY = 32 * 1024 * 1024
ACCOUNT_ID = "user_2sandbox0000000000000000"
JSON_TYPE: Header = (b"content-type", b"application/json")

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(float_hook=exact_number).decode


class Refusal(Exception):
    """An error answer, in OpenRouter's shape, given before anything was generated."""

    def __init__(
        self,
        status: int,
        message: str,
        error_type: str | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        headers: Sequence[Header] = (),
        fallback: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.metadata = dict(metadata or {})
        if error_type is not None:
            self.metadata.setdefault("error_type", error_type)
        self.headers = tuple(headers)
        self.fallback = fallback  # the next model of ``models`` may still answer
        self.extra = extra or {}  # further members of ``error``

    def body(self) -> bytes:
        """The error document."""
        error: dict[str, Any] = {"code": self.status, "message": self.message, **self.extra}
        if self.metadata:
            error["metadata"] = self.metadata
        return encode({"error": error, "user_id": ACCOUNT_ID})


class Gone(Exception):
    """The client has closed the connection."""


class Request:
    """An HTTP request and the way to answer it."""

    __slots__ = ("_headers", "body", "method", "path", "receive", "scope", "send", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.body = b""
        self.started = False  # the status line has been sent
        self._headers: dict[bytes, bytes] | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Header values by lower-case name; of repeated headers the last."""
        if self._headers is None:
            self._headers = {bytes(name): bytes(value) for name, value in self.scope["headers"]}
        return self._headers

    def header(self, name: bytes) -> str | None:
        """A header as text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query parameters; of repeated ones the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    async def read(self) -> None:
        """Take in the whole body. Raises Gone, or Refusal (413) when it is too large."""
        message = await self.receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await self.receive()
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY:
                raise Refusal(413, "Request body is too large", "payload_too_large")
        if message["type"] == "http.disconnect":
            raise Gone
        self.body = body

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, fractions as exact Decimals. Raises Refusal (400)."""
        try:
            value = _decode(self.body)
        except msgspec.DecodeError:
            raise Refusal(400, "Request body is not valid JSON", "invalid_request") from None
        if not isinstance(value, dict):
            raise Refusal(400, "Request body must be a JSON object", "invalid_request")
        return value

    def read_as(self, decode: Callable[[bytes], T]) -> T:
        """The body as ``decode`` understands it. Raises Refusal (400)."""
        try:
            return decode(self.body)
        except msgspec.ValidationError as error:
            raise Refusal(400, f"Invalid request: {error}", "invalid_request") from None
        except msgspec.DecodeError:
            raise Refusal(400, "Request body is not valid JSON", "invalid_request") from None

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Send status and headers."""
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; an empty one pushes out the headers."""
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece."""
        await self.send({"type": "http.response.body", "body": data})

    async def answer(self, status: int, body: bytes, headers: Sequence[Header] = (JSON_TYPE,)) -> None:
        """Send a whole answer."""
        await self.start(status, headers)
        await self.finish(body)

    async def refuse(self, refusal: Refusal, headers: Sequence[Header] = ()) -> None:
        """Send an error answer."""
        await self.answer(refusal.status, refusal.body(), (JSON_TYPE, *refusal.headers, *headers))


class Answer(msgspec.Struct, frozen=True):
    """What a handler that does not stream returns."""

    body: Any
    status: int = 200
