"""A provider that answers at once: ``python -m benchmarks.http.upstream 4900``. Fixed prices, a new id for each call.

JSON answers have 200 tokens; streams send 50 chunks in five writes, then usage and the end mark. A request with
``"user": "slow"`` gets its 50 chunks one by one, SLOW_SECONDS apart.
"""

import asyncio
import itertools
import sys
from typing import cast

_USAGE = (
    b'"usage":{"prompt_tokens":100,"completion_tokens":200,"total_tokens":300,"cost":0.000135,"is_byok":false,'
    b'"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0},'
    b'"cost_details":{"upstream_inference_cost":0.000135},"completion_tokens_details":{"reasoning_tokens":0}}'
)
_TEXT = b"the sun saw the old man " * 33
_CHUNKS = 50
_WRITES = 5
SLOW_SECONDS = 0.2
_ids = itertools.count(1)


def json_answer(name: bytes) -> bytes:
    """A whole answer with its headers."""
    body = (
        b'{"id":"%b","object":"chat.completion","created":1795000000,"model":"openai/gpt-4o-mini","provider":"OpenAI",'
        b'"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"%b"}}],%b}'
        % (name, _TEXT, _USAGE)
    )
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-generation-id: %b\r\ncontent-length: %d\r\n\r\n%b"
        % (name, len(body), body)
    )


def stream_pieces(name: bytes, writes: int = _WRITES) -> list[bytes]:
    """A streamed answer: the headers with the first chunk, the rest in a few writes."""
    head = (
        b'data: {"id":"%b","object":"chat.completion.chunk","created":1795000000,"model":"openai/gpt-4o-mini",'
        b'"provider":"OpenAI","choices":[{"index":0,"delta":{"role":"assistant","content":' % name
    )
    event = head + b'"the sun "},"finish_reason":null}]}\n\n'
    end = head + b'""},"finish_reason":"stop"}]}\n\n' + head + b'""},"finish_reason":"stop"}],' + _USAGE + b"}\n\n"
    each = _CHUNKS // writes
    pieces = [_chunk(event * each) for _ in range(writes)]
    pieces[-1] += _chunk(end + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    start = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-generation-id: %b\r\n"
        b"transfer-encoding: chunked\r\n\r\n" % name
    )
    return [start + pieces[0], *pieces[1:]]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Provider(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.received[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : (head + b"\r\n").index(b"\r\n", at)]) if at >= 0 else 0
        if len(self.received) < end + 4 + length:
            return
        body, self.received = self.received[end + 4 : end + 4 + length], self.received[end + 4 + length :]
        name = b"gen-1795000000-%020d" % next(_ids)
        if b'"stream":true' in body or b'"stream": true' in body:
            if b'"user": "slow"' in body:
                self.send_slowly(stream_pieces(name, _CHUNKS))
            else:
                self.send(stream_pieces(name))
        else:
            self.transport.write(json_answer(name))

    def send_slowly(self, pieces: list[bytes]) -> None:
        """Write a piece from time to time."""
        self.transport.write(pieces[0])
        if len(pieces) > 1:
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self.send_slowly, pieces[1:])

    def send(self, pieces: list[bytes]) -> None:
        """Write one piece in each turn of the loop, as a provider would write them one after the other."""
        self.transport.write(pieces[0])
        if len(pieces) > 1:
            asyncio.get_running_loop().call_soon(self.send, pieces[1:])


async def serve(port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
