"""Counting requests around the whole application: gateway, ingestion, API, back office and pages alike."""

from bisect import bisect_left
from collections import Counter as Count
from collections import defaultdict
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from django.conf import settings

from config.metrics.gathering import Gathering
from config.metrics.store import prepare_store
from core.asgi import App, Message, Receive, Scope, Send

prepare_store(settings.DATA_DIR)

from prometheus_client import Counter, Histogram  # noqa: E402  (it reads the store's place when it is imported)


class _GatheredHistogram(Histogram):
    """A histogram that takes many observations for the price of one."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as to observe each. Where sum and buckets are is prometheus_client's own affair: a new version has
        to pass ``tests/test_metrics.py`` before it is pinned."""
        self._sum.inc(sum(amounts))
        for place, count in Count(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[place].inc(count)


_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
REQUESTS = Counter(
    "farebox_http_requests", "Requests answered; status 0: the client left first.", ["surface", "method", "status"]
)
SECONDS = _GatheredHistogram(
    "farebox_http_request_seconds", "From the request to the end of its answer.", ["surface"], buckets=_BUCKETS
)
FIRST_BYTE = _GatheredHistogram(
    "farebox_http_first_byte_seconds", "From the request to the head of its answer.", ["surface"], buckets=_BUCKETS
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Named by folders only: a label for every path would grow without end.
_SURFACES = (
    *(("/api/v1/", "api"), ("/v1/", "wire"), ("/sandbox/v1/", "wire")),
    *(("/admin", "back office"), ("/static/", "files")),
)
_UNCOUNTED = ("/live/", "/health/", "/ready/", "/metrics/")


def surface_of(path: str) -> str:
    """Which part of the product answers ``path``, of those that Django serves."""
    return next((name for start, name in _SURFACES if path.startswith(start)), "pages")


async def measured(surface: str, app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with ``app`` and count it."""
    if scope["path"] in _UNCOUNTED:
        await app(scope, receive, send)
        return
    began = perf_counter()
    status = 0

    async def watched(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            _heads.note(_Head(surface, perf_counter() - began))
        await send(message)

    try:
        await app(scope, receive, watched)
    finally:
        _ends.note(_End(surface, scope["method"], status, perf_counter() - began))


class _Head(NamedTuple):
    surface: str
    seconds: float


class _End(NamedTuple):
    surface: str
    method: str
    status: int
    seconds: float


def _write_heads(heads: Sequence[_Head]) -> None:
    _observe(FIRST_BYTE, heads)


def _write_ends(ends: Sequence[_End]) -> None:
    for (surface, method, status), count in Count(end[:3] for end in ends).items():
        known = method if method in _METHODS else "other"
        REQUESTS.labels(surface, known, str(status)).inc(count)
    _observe(SECONDS, ends)


def _observe(clock: _GatheredHistogram, requests: Sequence[_Head | _End]) -> None:
    by_surface = defaultdict(list)
    for request in requests:
        by_surface[request.surface].append(request.seconds)
    for surface, seconds in by_surface.items():
        clock.labels(surface).observe_all(seconds)


_heads, _ends = Gathering(_write_heads), Gathering(_write_ends)
