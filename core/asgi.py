"""Reading and answering plain ASGI requests: what the hot routes need, and no more."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from core.errors import PayloadTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody is left to answer."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Request headers by lower-case name; of repeated ones the last."""
    return dict(scope["headers"])


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], largest: int) -> bytes:
    """The whole body. Raises PayloadTooLarge beyond ``largest`` bytes, ClientGone."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > largest:
        raise PayloadTooLarge(largest_bytes=largest)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > largest:
            raise PayloadTooLarge(largest_bytes=largest)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces) if len(pieces) > 1 else piece


async def respond(send: Send, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]]) -> None:
    """Send a whole answer."""
    raw = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers),
    ]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
