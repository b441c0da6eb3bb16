"""``Idempotency-Key`` on calls: the same request sent again gets the same answer, without another call or charge.

Kept are answers, and failures that may have been billed. A refusal or a failure that cost nothing is forgotten: the
next request with the key is a new one.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.db import connection

from accounts.errors import StillRunning
from accounts.idempotency import (
    CLAIM_LASTS,
    REPLAYED_HEADER,
    Answer,
    Claim,
    claim_key,
    fingerprint_of,
    give_up_claim,
    idempotency_key,
    renew_claim,
    store_answer,
)
from openrouter.gateway.errors import CallRefused
from openrouter.gateway.wire import Exchange

log = structlog.get_logger(__name__)
T = TypeVar("T")

_LARGEST_KEPT = 8 * 1024 * 1024
_RENEW_EVERY = CLAIM_LASTS.total_seconds() / 4
# Headers that belong to the answer itself; limits and balances were those of the moment.
_KEPT_HEADERS = ("x-farebox-event-id", "x-farebox-charge", "x-generation-id", "x-should-retry")


def answer_once(exchange: Exchange, organization_id: UUID, work: Callable[[], Awaitable[None]]) -> Awaitable[None]:
    """Run ``work``, which answers ``exchange``, unless the request's key already has an answer: then send that.

    Raises InvalidRequest at once; awaited, KeyReused, StillRunning, and whatever ``work`` raises.
    """
    key = idempotency_key(exchange.header(b"idempotency-key") or None)
    return work() if key is None else _claim_and_answer(exchange, organization_id, key, work)


async def _claim_and_answer(
    exchange: Exchange, organization_id: UUID, key: str, work: Callable[[], Awaitable[None]]
) -> None:
    claim = await _in_thread(
        claim_key,
        organization_id=organization_id,
        key=key,
        route=exchange.path,
        fingerprint=fingerprint_of(exchange.method, exchange.path, exchange.body),
        at=datetime.now(UTC),
    )
    if claim.answer is not None:
        await _replay(exchange, claim.answer)
        return
    keeper = _Keeper(claim)
    exchange.recording = bytearray()
    # Kept before the client has seen its end: whoever repeats a request at once finds the answer.
    exchange.before_end = partial(keeper.conclude, exchange)
    try:
        await work()
    finally:
        await keeper.conclude(exchange)


class _Keeper:
    """Holds on to a claim while the call runs, and stores its answer."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._concluded = False
        self._renewing = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY)
            try:
                self._claim = await _in_thread(renew_claim, self._claim, at=datetime.now(UTC))
            except StillRunning:
                return
            except Exception:
                log.warning("gateway.claim_not_renewed", exc_info=True)

    async def conclude(self, exchange: Exchange) -> None:
        """Keep the answer if it is one, else let the key go; the first call counts."""
        if self._concluded:
            return
        self._concluded = True
        self._renewing.cancel()
        answer = _answer_of(exchange)
        try:
            if answer is None:
                await _in_thread(give_up_claim, self._claim)
            else:
                await _in_thread(store_answer, self._claim, answer)
        except Exception:
            log.warning("gateway.answer_not_kept", exc_info=True)


def _answer_of(exchange: Exchange) -> Answer | None:
    """What was answered, if it is to be kept."""
    if not exchange.is_final or exchange.recording is None:
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.sent_headers}
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    content_type = headers.get("content-type", "application/json")
    if not exchange.started:  # something of ours failed after the provider had answered, and may have billed
        return _without_answer("The first request with this key was carried out, but its answer was lost.", kept)
    if len(exchange.recording) > _LARGEST_KEPT:
        return _without_answer("The first answer to this request was too long to be kept.", kept)
    return Answer(exchange.sent_status, bytes(exchange.recording), content_type, kept)


def _without_answer(why: str, headers: dict[str, str]) -> Answer:
    """In place of an answer that cannot be replayed: the call must not be made, and billed, again."""
    return Answer(409, CallRefused(409, why, "answer_not_kept").body(), "application/json", headers)


async def _replay(exchange: Exchange, answer: Answer) -> None:
    headers = {"content-type": answer.content_type, **answer.headers, REPLAYED_HEADER.lower(): "true"}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await exchange.answer(answer.status, answer.body, raw)


async def _in_thread(work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    def call() -> T:
        try:
            return work(*arguments, **options)
        finally:
            with contextlib.suppress(Exception):
                connection.close()

    return await sync_to_async(call, thread_sensitive=False)()
