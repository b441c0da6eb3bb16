"""``/metrics/``, for whoever has the token."""

import os
from hmac import compare_digest

from django.conf import settings
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from config.health import PATIENCE_SECONDS
from config.metrics.books import Books, DatabaseUp
from config.metrics.gathering import flush_all
from config.probes import DATABASE


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures of all web processes of this machine and of the books, in Prometheus' text form.

    Those of the processes alone while the database is away. 404 without METRICS_TOKEN, 401 without it in the
    request: figures of a business are nobody else's.
    """
    if not settings.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse("METRICS_TOKEN is asked for as a bearer token.\n", status=401, content_type="text/plain")
    flush_all()
    text = generate_latest(_processes()) + _books()
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _processes() -> CollectorRegistry:
    """The counts of every web process where they share a folder, of this one alone elsewhere."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def _books() -> bytes:
    """What stands in the books, and whether they could be read: all of it or none, and never a failure.

    Without the database the rest is still of use, and that it is away is what somebody is waiting to be told.
    """
    try:
        DATABASE.start().result(PATIENCE_SECONDS)
        return generate_latest(_registry(DatabaseUp(True), Books()))
    except (Error, TimeoutError):
        return generate_latest(_registry(DatabaseUp(False)))


def _registry(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry
