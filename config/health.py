"""Is everything up? For scripts that wait for a start, and for orchestrators."""

from concurrent.futures import Future
from time import monotonic

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.probes import DATABASE, Probe

PATIENCE_SECONDS = 2


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """This process answers. Restart it when it does not; a database that is away is no reason to."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 once the database answers with every migration applied and Redis answers; else 503 and what is missing.

    Answers within two seconds, whatever is away: all are asked at once.
    """
    until = monotonic() + PATIENCE_SECONDS
    asked = {name: probe.start() for name, probe in _CHECKS.items()}
    checks = {name: _outcome(answer, until) for name, answer in asked.items()}
    is_up = all(outcome == "ok" for outcome in checks.values())
    status = "ok" if is_up else "unavailable"
    return JsonResponse({"status": status, "checks": checks}, status=200 if is_up else 503)


class _Missing(Exception):
    """What is not there yet, in words that may be shown to anybody."""


def _outcome(answer: Future[None], until: float) -> str:
    try:
        answer.result(max(0, until - monotonic()))
    except _Missing as missing:
        return str(missing)
    except TimeoutError:
        return "no answer in time"
    except (Error, redis.RedisError, OSError):
        # The reason may name hosts and accounts: it belongs into the log of whoever can act on it.
        return "cannot be reached"
    return "ok"


_migrated = False


def _migrations() -> None:
    """Asked of the database until the answer is yes; it stays yes for the life of this code."""
    global _migrated
    if _migrated:
        return
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise _Missing("not applied")
    finally:
        connection.close()
    _migrated = True


def _redis() -> None:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
    )
    with client:
        client.ping()


_CHECKS = {"database": DATABASE, "migrations": Probe(_migrations), "redis": Probe(_redis)}
