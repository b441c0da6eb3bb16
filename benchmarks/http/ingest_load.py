"""Batches of usage events over kept-open connections, no two events with the same id: a process of its own.

``python -m benchmarks.http.ingest_load '{"url": …, "headers": {…}, "event": {…}, "size": 100, "connections": 8, …}'``
prints one JSON object: events per second, percentiles of the whole answer in milliseconds, answers by status.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from itertools import count
from typing import cast
from urllib.parse import urlsplit

_MARK = b"@@@@@@@@@@@@@@@@"  # where each request's own number goes
_numbers = count(int.from_bytes(os.urandom(4)) << 16)
_END_OF_HEADERS = b"\r\n\r\n"


class Sender(asyncio.Protocol):
    """One connection that reports again as soon as it has its answer."""

    def __init__(self, request: bytes, until: float, seen: "Seen") -> None:
        self.request = request
        self.until = until
        self.seen = seen
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        """The next batch."""
        self.received = bytearray()
        self.expected = 0
        self.started = time.perf_counter()
        self.transport.write(self.request.replace(_MARK, b"%016x" % next(_numbers)))

    def data_received(self, data: bytes) -> None:
        """Take in a piece of the answer; go on when it is complete."""
        self.received += data
        if not self.expected:
            end = self.received.find(_END_OF_HEADERS)
            if end < 0:
                return
            head = bytes(self.received[:end]).lower() + b"\r\n"
            at = head.index(b"content-length:")
            self.expected = end + 4 + int(head[at + 15 : head.index(b"\r\n", at)])
        if len(self.received) < self.expected:
            return
        self.seen.statuses[self.received[9:12].decode()] += 1
        self.seen.times.append(time.perf_counter() - self.started)
        if time.perf_counter() < self.until:
            self.send()
        else:
            self.finish()

    def connection_lost(self, error: Exception | None) -> None:
        """The server closed."""
        self.finish()

    def finish(self) -> None:
        """No more from this connection."""
        if not self.done.done():
            self.done.set_result(None)
            self.transport.close()


class Seen:
    """What came back."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.statuses: Counter[str] = Counter()


async def measure(
    *, url: str, headers: dict[str, str], event: dict, size: int, connections: int, seconds: float, warm: float = 0.5
) -> dict:
    """Report for ``warm`` seconds uncounted, then for ``seconds``."""
    request = _request(url, headers, event, size)
    await _run(url, request, connections, warm)
    began = time.perf_counter()
    seen = await _run(url, request, connections, seconds)
    elapsed = time.perf_counter() - began
    times = sorted(seen.times)
    return {
        "rate": len(times) * size / elapsed,
        "ms": {f"p{p}": round(times[min(len(times) - 1, len(times) * p // 100)] * 1000, 2) for p in (50, 99)},
        "statuses": dict(seen.statuses),
    }


def _request(url: str, headers: dict[str, str], event: dict, size: int) -> bytes:
    events = [{"id": f"{_MARK.decode()}-{number}", **event} for number in range(size)]
    path, body = ("track", events[0]) if size == 1 else ("track/batch", {"events": events})
    data = json.dumps(body, separators=(",", ":")).encode()
    lines = [f"POST /api/v1/metering/{path} HTTP/1.1", f"host: {urlsplit(url).netloc}", f"content-length: {len(data)}"]
    lines += ["content-type: application/json", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


async def _run(url: str, request: bytes, connections: int, seconds: float) -> Seen:
    parts, seen = urlsplit(url), Seen()
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    senders = [
        (await loop.create_connection(lambda: Sender(request, until, seen), parts.hostname or "", parts.port or 80))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(sender.done for sender in senders)), seconds + 60)
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(**json.loads(sys.argv[1])))))
