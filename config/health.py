"""Is everything up? For scripts that wait for a start, and for orchestrators."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

_PATIENCE_SECONDS = 2


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """This process answers. Restart it when it does not; a database that is away is no reason to."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 once the database answers with every migration applied and Redis answers; else 503 and what is missing."""
    checks = {name: _outcome(check) for name, check in _CHECKS.items()}
    is_up = all(outcome == "ok" for outcome in checks.values())
    status = "ok" if is_up else "unavailable"
    return JsonResponse({"status": status, "checks": checks}, status=200 if is_up else 503)


class _Missing(Exception):
    """What is not there yet, in words that may be shown to anybody."""


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except _Missing as missing:
        return str(missing)
    except (DatabaseError, redis.RedisError, OSError):
        # The reason may name hosts and accounts: it belongs into the log of whoever can act on it.
        return "cannot be reached"
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


_migrated = False


def _migrations() -> None:
    """Asked of the database until the answer is yes; it stays yes for the life of this code."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise _Missing("not applied")
        _migrated = True


def _redis() -> None:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS
    )
    with client:
        client.ping()


_CHECKS = {"database": _database, "migrations": _migrations, "redis": _redis}
