"""Bytes of any stream: a download that is passed on, a file that is read.

return StreamingResponse(counted(chunks, Meter(recorder, name="egress", customer="user_42")))
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from farebox.strategies.usage import Meter


def counted(chunks: Iterable[bytes], meter: Meter) -> Iterator[bytes]:
    """The same chunks; how many bytes went through is reported when they end, or when nobody wants more."""
    total = 0
    try:
        for chunk in chunks:
            total += len(chunk)
            yield chunk
    finally:
        meter.count(meter.name, {"strategy": "Stream", "bytes": total})


async def counted_async(chunks: AsyncIterable[bytes], meter: Meter) -> AsyncIterator[bytes]:
    """The same for asynchronous chunks."""
    total = 0
    try:
        async for chunk in chunks:
            total += len(chunk)
            yield chunk
    finally:
        meter.count(meter.name, {"strategy": "Stream", "bytes": total})
