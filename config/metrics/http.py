"""Counting requests around the whole application: gateway, ingestion, API, back office and pages alike."""

from functools import lru_cache
from time import perf_counter

from django.conf import settings

from config.metrics.store import prepare_store
from core.asgi import App, Message, Receive, Scope, Send

prepare_store(settings.DATA_DIR)

from prometheus_client import Counter, Histogram  # noqa: E402  (it reads the store's place when it is imported)

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
REQUESTS = Counter(
    "farebox_http_requests", "Requests answered; status 0: the client left first.", ["surface", "method", "status"]
)
SECONDS = Histogram(
    "farebox_http_request_seconds", "From the request to the end of its answer.", ["surface"], buckets=_BUCKETS
)
FIRST_BYTE = Histogram(
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
            _clocks(surface)[0].observe(perf_counter() - began)
        await send(message)

    try:
        await app(scope, receive, watched)
    finally:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        _counter(surface, method, status).inc()
        _clocks(surface)[1].observe(perf_counter() - began)


# Finding the place of labels costs more than counting there.
@lru_cache(maxsize=1024)
def _counter(surface: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(surface, method, str(status))


@lru_cache(maxsize=64)
def _clocks(surface: str) -> tuple[Histogram, Histogram]:
    return FIRST_BYTE.labels(surface), SECONDS.labels(surface)
