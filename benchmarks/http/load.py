"""Requests over kept-open connections as fast as they are answered: raw sockets, a process of its own.

``python -m benchmarks.http.load '{"url": …, "secrets": […], "body": …, "connections": 32, "seconds": 5}'`` prints one
JSON object: requests per second, percentiles of the whole answer and of the first byte in milliseconds, answers by
status and by key (those of the uncounted warm-up too). Connections take the keys in turn.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from functools import partial
from typing import cast
from urllib.parse import urlsplit

_END_OF_HEADERS = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, secret: str, request: bytes, results: "Results") -> None:
        self.secret = secret
        self.request = request
        self.results = results

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        """Send a request."""
        self.received = bytearray()
        self.first: float | None = None
        self.expected: int | None = None
        self.body_at = 0
        self.started = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take in a piece of the answer; it is complete by its length or its last chunk."""
        received = self.received
        received += data
        if self.first is None:
            self.first = time.perf_counter()
        if not self.body_at:
            end = received.find(_END_OF_HEADERS)
            if end < 0:
                return
            self.body_at = end + 4
            self.expected = _content_length(bytes(received[:end]).lower())
        if self.expected is None:
            if not received.endswith(_LAST_CHUNK):
                return
        elif len(received) - self.body_at < self.expected:
            return
        self.results.add(received[9:12].decode(), self.secret, self.started, self.first)
        if time.perf_counter() < self.results.until:
            self.ask()
        else:
            self.results.finished()
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The server closed: count it, and go on without this connection."""
        if time.perf_counter() < self.results.until:
            self.results.add("cut", self.secret, self.started, self.started)
            self.results.finished()


def _content_length(head: bytes) -> int | None:
    at = head.find(b"content-length:")
    return None if at < 0 else int(head[at + 15 : (head + b"\r\n").index(b"\r\n", at)])


class Results:
    """What was measured."""

    def __init__(self, until: float, connections: int, done: asyncio.Event) -> None:
        self.until = until
        self.left = connections
        self.done = done
        self.whole: list[float] = []
        self.first: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    def add(self, status: str, secret: str, started: float, first: float) -> None:
        """One answer."""
        self.statuses[status] += 1
        self.answered[secret] += status == "200"
        self.whole.append(time.perf_counter() - started)
        self.first.append(first - started)

    def finished(self) -> None:
        """One connection has ended."""
        self.left -= 1
        if not self.left:
            self.done.set()


async def measure(
    *,
    url: str,
    secrets: list[str],
    body: str = "",
    connections: int,
    seconds: float,
    warm: float = 1.0,
    method: str = "POST",
) -> dict[str, object]:
    """Ask for ``warm`` seconds uncounted, then for ``seconds``."""
    requests = {secret: request_bytes(method, url, secret, body.encode()) for secret in secrets}
    warmed = await _run(url, requests, connections, warm)
    began = time.perf_counter()
    results = await _run(url, requests, connections, seconds)
    elapsed = time.perf_counter() - began
    results.answered.update(warmed.answered)
    return _summary(results, elapsed)


async def _run(url: str, requests: dict[str, bytes], connections: int, seconds: float) -> Results:
    done = asyncio.Event()
    results = Results(time.perf_counter() + seconds, connections, done)
    loop, parts, secrets = asyncio.get_running_loop(), urlsplit(url), list(requests)
    for number in range(connections):
        secret = secrets[number % len(secrets)]
        client = partial(Connection, secret, requests[secret], results)
        await loop.create_connection(client, parts.hostname or "", parts.port or 80)
    await asyncio.wait_for(done.wait(), seconds + 60)
    return results


def request_bytes(method: str, url: str, secret: str, body: bytes) -> bytes:
    """A request with its headers."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
    lines += ["content-type: application/json", f"authorization: Bearer {secret}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _summary(results: Results, elapsed: float) -> dict[str, object]:
    whole, first = sorted(results.whole), sorted(results.first)
    return {
        "rate": len(whole) / elapsed,
        "ms": {f"p{p}": percentile(whole, p) for p in (50, 95, 99)},
        "first_ms": {f"p{p}": percentile(first, p) for p in (50, 95, 99)},
        "statuses": dict(results.statuses),
        "answered": dict(results.answered),
    }


def percentile(ordered: list[float], percent: int) -> float:
    """Of seconds in ascending order, in milliseconds; 0 of none."""
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000, 3) if ordered else 0.0


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(**json.loads(sys.argv[1])))))
