"""Many slow streams open at the same time: whether each gets its pieces when they are due. A process of its own.

``python -m benchmarks.http.slow '{"url": …, "secrets": […], "body": …, "streams": 1000}'`` prints one JSON object:
streams that ended whole, percentiles of the first byte and of each stream's longest silence, in milliseconds.
"""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

from benchmarks.http.load import percentile, request_bytes

# Not all in one instant: that would measure a queue at the door.
_OPENED_PER_SECOND = 400


async def measure(*, url: str, secrets: list[str], body: str, streams: int) -> dict[str, object]:
    """Open ``streams`` streams and hear each to its end."""
    found = await asyncio.gather(*(_hear(url, secrets[n % len(secrets)], body, n) for n in range(streams)))
    return {
        "whole": sum(whole for whole, _, _ in found),
        "first_ms": {f"p{p}": percentile(sorted(first for _, first, _ in found), p) for p in (50, 99)},
        "silence_ms": {f"p{p}": percentile(sorted(silence for _, _, silence in found), p) for p in (50, 99, 100)},
    }


async def _hear(url: str, secret: str, body: str, number: int) -> tuple[bool, float, float]:
    """One stream: whether it ended whole, seconds to its first piece, its longest silence after that."""
    await asyncio.sleep(number / _OPENED_PER_SECOND)
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    asked = last = time.perf_counter()
    first = silence = 0.0
    tail = b""
    writer.write(request_bytes("POST", url, secret, body.encode()))
    try:
        while data := await reader.read(65536):
            now = time.perf_counter()
            if first:
                silence = max(silence, now - last)
            first, last = first or now - asked, now
            tail = (tail + data)[-64:]
            if tail.endswith(b"0\r\n\r\n"):
                break
    finally:
        writer.close()
    return b"data: [DONE]" in tail, first, silence


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(**json.loads(sys.argv[1])))))
