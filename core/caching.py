"""Django's cache in Redis that a Redis which is away stops nobody with: meanwhile each process remembers for itself.

What is kept there limits attempts to log in and repeats of a code; those limits hold then for each process alone, and
nobody is kept from logging in.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

_TIMEOUT = 0.5  # seconds; it is asked while somebody waits
_REST = 2.0  # seconds in which a Redis that failed is left alone
_REMEMBERED = 100_000  # Django's own 300 would let whoever tries many names push out what was counted of one


class _Outage:
    """Whether Redis is away, as the process's last question found. Django makes a cache for each thread."""

    until = 0.0


class ForgivingRedisCache(RedisCache):
    """Redis while it answers, else the process's own memory."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        patience = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT, "retry": Retry(NoBackoff(), 0)}
        super().__init__(server, {**params, "OPTIONS": {**patience, **params.get("OPTIONS", {})}})
        self._meanwhile = LocMemCache("while-redis-is-away", {"OPTIONS": {"MAX_ENTRIES": _REMEMBERED}})


def _forgiving(name: str) -> Callable[..., Any]:
    ask = getattr(RedisCache, name)

    def method(self: ForgivingRedisCache, *arguments: Any, **options: Any) -> Any:
        if time.monotonic() >= _Outage.until:
            try:
                return ask(self, *arguments, **options)
            except (RedisError, OSError) as error:
                _Outage.until = time.monotonic() + _REST
                log.warning("cache.redis_away", error=str(error)[:200])
        return getattr(self._meanwhile, name)(*arguments, **options)

    return method


for _name in (
    "add",
    "get",
    "set",
    "touch",
    "delete",
    "get_many",
    "has_key",
    "incr",
    "set_many",
    "delete_many",
    "clear",
):
    setattr(ForgivingRedisCache, _name, _forgiving(_name))
