"""One POST to the provider on a pooled connection, without the layers of the client that calls have no use for.

Connections, TLS, name look-ups and the parser of answers are aiohttp's. Its session adds cookies, redirects, tracing,
repetition, bodies of every kind and a task to write each: together as much work as all the rest of a call's way to
the provider and back.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from yarl import URL

READ_AT_ONCE = 256 * 1024  # bytes that wait for a slow reader before the provider is made to wait
_SWITCHING_PROTOCOLS = 101


class Posted:
    """An answer whose head has arrived. Its connection is kept for the next request once all of it was received."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(self, connection: Connection, head: RawResponseMessage, content: aiohttp.StreamReader) -> None:
        self.status = head.code
        self.headers = head.headers
        self.content = content
        self._connection: Connection | None = connection
        content.on_eof(self._give_back)

    @property
    def closed(self) -> bool:
        """Whether nothing more can arrive."""
        return self._connection is None

    async def read(self) -> bytes:
        """The whole body. Raises aiohttp.ClientError."""
        return await self.content.read()

    def close(self) -> None:
        """Nothing more is wanted: end the connection, unless all of the answer was received.

        Whoever still reads the body is told.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.content.exception() is None:
            self.content.set_exception(aiohttp.ClientConnectionError("Connection closed"))
        connection.close()

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        if transport is not None and transport.get_write_buffer_size():  # answered before the request was sent whole
            connection.close()
        else:
            connection.release()


class _Place(NamedTuple):
    """A URL as connections are pooled by it, and how each request to it begins."""

    request: aiohttp.ClientRequest
    start: str


class Poster:
    """Sends JSON over the connections of ``connector``, whose event loop it belongs to."""

    def __init__(self, connector: aiohttp.BaseConnector) -> None:
        self._connector = connector
        self._places: dict[str, _Place] = {}

    async def post(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, patience: aiohttp.ClientTimeout
    ) -> Posted:
        """The answer to ``body``, its own body still to be read. Follows no redirect and repeats nothing.

        Of ``patience``, ``sock_connect`` and ``sock_read`` count. Raises aiohttp.ClientError, TimeoutError, OSError,
        and ValueError for a header that would end early.
        """
        place = self._places.get(url) or self._find(url)
        request = _written(place.start, headers, body)
        try:
            connection = await self._connector.connect(place.request, [], patience)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {url}") from error
        try:
            return await _exchange(connection, request, patience.sock_read)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(f"The answer is not HTTP: {error.message}") from error
        except BaseException:
            connection.close()
            raise

    def _find(self, url: str) -> _Place:
        request = aiohttp.ClientRequest("POST", URL(url), loop=asyncio.get_running_loop())
        start = (
            f"POST {request.url.raw_path_qs} HTTP/1.1\r\nHost: {request.headers['Host']}\r\nAccept: */*\r\n"
            "Accept-Encoding: identity\r\nContent-Type: application/json\r\nUser-Agent: farebox\r\n"
        )
        found = self._places[url] = _Place(request, start)
        return found


def _written(start: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") > len(headers) or lines.count("\r") > len(headers) or "\0" in lines:
        raise ValueError("A header must not hold the end of its line.")
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (start.encode(), lines.encode(), len(body), body)


async def _exchange(connection: Connection, request: bytes, idle: float | None) -> Posted:
    """Send a request and wait for the head of its answer, ``idle`` seconds at most, and so for each piece after it."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise aiohttp.ClientConnectionResetError("Cannot write to a connection that is closed")
    protocol.set_response_params(read_until_eof=True, read_timeout=idle, read_bufsize=READ_AT_ONCE)
    transport.write(request)
    protocol.start_timeout()
    while True:
        head, content = await protocol.read()
        if head.code >= 200 or head.code == _SWITCHING_PROTOCOLS:  # others announce an answer
            return Posted(connection, head, content)
