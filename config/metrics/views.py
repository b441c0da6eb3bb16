"""``/metrics/``, for whoever has the token."""

import os
from hmac import compare_digest

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from config.metrics.books import Books


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures of all web processes of this machine and of the books, in Prometheus' text form.

    404 without METRICS_TOKEN, 401 without it in the request: figures of a business are nobody else's.
    """
    if not settings.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse("METRICS_TOKEN is asked for as a bearer token.\n", status=401, content_type="text/plain")
    text = generate_latest(_processes()) + generate_latest(_books())
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _processes() -> CollectorRegistry:
    """The counts of every web process where they share a folder, of this one alone elsewhere."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def _books() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Books())
    return registry
