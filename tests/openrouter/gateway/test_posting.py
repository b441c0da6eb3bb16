"""A POST on a pooled connection: which answers there can be, and when the connection serves again."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from openrouter.gateway.posting import Posted, Poster

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """A server that answers each connection with ``answering``, and counts them."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.answering(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def post(answering: Answering, use: Callable[["Poster", str, Provider], Awaitable[None]]) -> None:
    """Run ``use`` with a poster against a provider of its own."""

    async def run() -> None:
        provider = Provider(answering)
        server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connector = aiohttp.TCPConnector(limit=0)
        try:
            await use(Poster(connector), f"http://127.0.0.1:{port}/v1/x", provider)
        finally:
            await connector.close()
            server.close()

    asyncio.run(run())


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


async def sent(poster: Poster, url: str, body: bytes = b"{}", idle: float = 5.0) -> Posted:
    patience = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=idle)
    return await poster.post(url, [("Authorization", "Bearer s")], body, patience)


def test_connection_serves_again_once_all_of_an_answer_was_received():
    requests = []

    async def answering(reader, writer):
        while True:
            requests.append(await request_of(reader))
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)  # what only announces an answer is passed over

    async def use(poster, url, provider):
        for _ in range(3):
            answer = await sent(poster, url, b'{"n":1}')
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
            assert await answer.read() == b"{}"
            assert answer.closed
        assert provider.connections == 1

    post(answering, use)
    head, body = requests[-1]
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Bearer s\r\n" in head
    assert body == b'{"n":1}'


def test_connection_ends_with_an_answer_that_was_not_heard_out():
    async def answering(reader, writer):
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await reader.read()  # until the other side ends it

    async def use(poster, url, provider):
        answer = await sent(poster, url)
        reading = asyncio.ensure_future(answer.read())
        await asyncio.sleep(0)
        answer.close()
        with pytest.raises(aiohttp.ClientError):
            await reading
        (await sent(poster, url)).close()
        assert provider.connections == 2

    post(answering, use)


def test_connection_ends_when_the_answer_comes_before_the_request_was_sent_whole():
    async def answering(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.sleep(0.2)

    async def use(poster, url, provider):
        answer = await sent(poster, url, b"x" * 30_000_000)
        assert answer.status == 413
        assert await answer.read() == b""
        await sent(poster, url, b"x" * 30_000_000)
        assert provider.connections == 2

    post(answering, use)


@pytest.mark.parametrize(
    ("written", "error"),
    [
        (b"", aiohttp.ClientError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", aiohttp.ClientError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", aiohttp.ClientError),
    ],
    ids=["nothing", "not HTTP", "half an answer"],
)
def test_connection_that_breaks_off_is_an_error(written, error):
    async def answering(reader, writer):
        await request_of(reader)
        writer.write(written)
        await writer.drain()

    async def use(poster, url, provider):
        with pytest.raises(error):
            await (await sent(poster, url)).read()

    post(answering, use)


def test_silence_is_a_timeout():
    async def answering(reader, writer):
        await reader.read()

    async def use(poster, url, provider):
        with pytest.raises(TimeoutError):
            await sent(poster, url, idle=0.05)

    post(answering, use)


def test_silence_in_the_middle_of_an_answer_is_a_timeout():
    async def answering(reader, writer):
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await reader.read()

    async def use(poster, url, provider):
        with pytest.raises(TimeoutError):
            await (await sent(poster, url, idle=0.05)).read()

    post(answering, use)


def test_header_that_would_end_early_is_not_sent():
    async def use(poster, url, provider):
        for value in ("a\r\nX-Other: b", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(ValueError, match="end of its line"):
                await poster.post(url, [("Authorization", value)], b"", aiohttp.ClientTimeout())
        assert provider.connections == 0

    post(lambda reader, writer: asyncio.sleep(0), use)
