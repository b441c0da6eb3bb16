"""Asking Redis: at once for Django, gathered for the event loop."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
import structlog
from django.conf import settings
from redis.exceptions import NoScriptError, RedisError

from accounts.ratelimits.windows import ADMITTED, SCRIPT, Bucket, Correction, Decision, decisions, script_input

log = structlog.get_logger(__name__)

# A limiter that answers late is worse than none.
TIMEOUT_SECONDS = 0.25
REST_AFTER_FAILURE_SECONDS = 2.0
LARGEST_BATCH = 200
CORRECTION_WAITS_SECONDS = 0.05
# How Redis knows a script that it has run before.
_SCRIPT_NAME = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class _Outage:
    """Remembers that Redis is away, so that calls neither wait for it nor fill the log."""

    def __init__(self) -> None:
        self._until = 0.0
        self._announced = False

    @property
    def is_on(self) -> bool:
        """Whether Redis should be left alone for now."""
        return time.monotonic() < self._until

    def begin(self, error: Exception) -> None:
        """Redis failed to answer."""
        self._until = time.monotonic() + REST_AFTER_FAILURE_SECONDS
        if not self._announced:
            self._announced = True
            log.error("ratelimits.redis_down", error=str(error), consequence="calls are admitted unlimited")

    def end(self) -> None:
        """Redis answered."""
        if self._announced:
            self._announced = False
            log.info("ratelimits.redis_back")


outage = _Outage()


# ---------------------------------------------------------------- sync


@cache
def _client(url: str) -> tuple[redis.Redis, Any]:
    client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
    return client, client.register_script(SCRIPT)


def take(buckets: Sequence[Bucket]) -> Decision:
    """Count one call in all ``buckets``, or in none when one has no room."""
    if not buckets or outage.is_on:
        return ADMITTED
    keys, arguments = script_input([buckets])
    try:
        answer = _client(settings.REDIS_URL)[1](keys=keys, args=arguments)
    except (RedisError, OSError) as error:
        outage.begin(error)
        return ADMITTED
    outage.end()
    return decisions([buckets], answer)[0]


# ---------------------------------------------------------------- async


class _Gatherer:
    """Sends what arrives while a round trip is under way as the next one: a lone call waits for nobody.

    A client per command costs more processor time than the limit is worth; a batch costs about as much as one command.
    For the same reason it keeps one connection and speaks to that directly, past the client's pool and repetitions.
    """

    def __init__(self) -> None:
        pool = redis.asyncio.ConnectionPool.from_url(
            settings.REDIS_URL, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
        self._connection = pool.make_connection()
        self._takes: list[tuple[Sequence[Bucket], asyncio.Future[Decision]]] = []
        self._corrections: list[Correction] = []
        self._sender: asyncio.Task[None] | None = None

    def take(self, buckets: Sequence[Bucket]) -> "asyncio.Future[Decision]":
        """The decision to come."""
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._takes.append((buckets, decided))
        self._wake()
        return decided

    def correct(self, correction: Correction) -> None:
        """Send a correction along with whatever comes next, or alone when nothing does; nobody waits for it."""
        self._corrections.append(correction)
        if len(self._corrections) == 1:
            asyncio.get_running_loop().call_later(CORRECTION_WAITS_SECONDS, self._wake)

    def _wake(self) -> None:
        if self._sender is None and (self._takes or self._corrections):
            self._sender = asyncio.ensure_future(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._takes or self._corrections:
                takes, self._takes = self._takes[:LARGEST_BATCH], self._takes[LARGEST_BATCH:]
                corrections, self._corrections = self._corrections, []
                found = await self._ask([buckets for buckets, _ in takes], corrections)
                for (_, decided), decision in zip(takes, found, strict=True):
                    if not decided.done():
                        decided.set_result(decision)
        finally:
            self._sender = None

    async def _ask(self, takes: list[Sequence[Bucket]], corrections: list[Correction]) -> list[Decision]:
        if outage.is_on:
            return [ADMITTED] * len(takes)
        keys, arguments = script_input(takes, corrections)
        try:
            answer = await self._run_script([str(len(keys)), *keys, *arguments])
        except (RedisError, OSError, TimeoutError) as error:
            outage.begin(error)
            return [ADMITTED] * len(takes)
        outage.end()
        return decisions(takes, answer)

    async def _run_script(self, words: list[Any]) -> bytes:
        try:
            return await self._command("EVALSHA", _SCRIPT_NAME, *words)
        except NoScriptError:
            return await self._command("EVAL", SCRIPT, *words)

    async def _command(self, *words: Any) -> bytes:
        """Send a command, connecting first if need be."""
        connection = self._connection
        await connection.send_packed_command(connection.pack_command(*words), check_health=False)
        answer: bytes = await connection.read_response(disable_decoding=True)
        return answer


_gatherers: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Gatherer]" = WeakKeyDictionary()


def _gatherer() -> _Gatherer:
    """The running loop's own: connections belong to the loop that opened them."""
    loop = asyncio.get_running_loop()
    found = _gatherers.get(loop)
    if found is None:
        found = _gatherers[loop] = _Gatherer()
    return found


async def take_async(buckets: Sequence[Bucket]) -> Decision:
    """The same as :func:`take` for the event loop; calls that arrive together share a round trip."""
    if not buckets or outage.is_on:
        return ADMITTED
    return await _gatherer().take(buckets)


def correct_async(decision: Decision, *, tokens: int) -> None:
    """Replace the tokens that an admitted call reserved by what it used; 0 gives them all back.

    Returns at once: the correction travels with the next batch.
    """
    for state in decision.states if decision.admitted else ():
        bucket = state.bucket
        if bucket.unit != "tokens":
            continue
        change = tokens - min(bucket.cost, bucket.limit)
        if change:
            _gatherer().correct(Correction(state, change))
