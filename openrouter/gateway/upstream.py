"""Requests to the provider: a pooled client, a bounded number of tries, every try on record."""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import aiohttp

from core.plainsettings import settings
from openrouter.gateway.call import Call, Try
from openrouter.gateway.posting import READ_AT_ONCE, Posted, Poster
from openrouter.gateway.verdicts import Verdict, judge, never_connected, no_answer
from openrouter.gateway.wire import Exchange

# What a client may tell the provider beside the body. Everything else stays here, above all its own authorization.
_PASSED_ON = (
    (b"http-referer", "HTTP-Referer"),
    (b"x-title", "X-Title"),
    (b"x-openrouter-title", "X-OpenRouter-Title"),
    (b"x-openrouter-categories", "X-OpenRouter-Categories"),
    (b"x-openrouter-metadata", "X-OpenRouter-Metadata"),
    (b"x-session-id", "x-session-id"),
)
# The provider's response cache must not answer one customer with what another asked.
_PASSED_ON_WITH_CACHE = (*_PASSED_ON, (b"x-openrouter-cache", "X-OpenRouter-Cache"))
_LARGEST_ERROR = 256 * 1024
_ERROR_SECONDS = 15.0  # for its body; the status alone decides without it
_FIRST_PAUSE = 0.25
_CONNECTIONS_KEPT_SECONDS = 15.0


class UpstreamFailed(Exception):
    """The provider did not serve the call; the verdict says what that means."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.error_type)
        self.verdict = verdict


@dataclass(slots=True)
class Upstream:
    """The process's pooled client of the provider; belongs to one event loop."""

    session: aiohttp.ClientSession  # for small reads
    poster: Poster

    @classmethod
    def open(cls) -> "Upstream":
        """To be called on the loop it shall serve."""
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_CONNECTIONS_KEPT_SECONDS, ttl_dns_cache=30, enable_cleanup_closed=False
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            raise_for_status=False,
            read_bufsize=READ_AT_ONCE,
        )
        return cls(session, Poster(connector))

    async def close(self) -> None:
        """Close the pooled connections."""
        await self.session.close()

    async def send(self, call: Call, exchange: Exchange) -> Posted:
        """The answer (status 200) of the first try that gets one; its body is still to be read.

        Raises UpstreamFailed. An answer that may have been made, and lost, is never asked for again.
        """
        url = call.base_url + call.route.path
        headers = _headers(call, exchange)
        body = call.body.encode()
        give_up_at = time.monotonic() + settings.GATEWAY_RETRY_SECONDS
        while True:
            attempt = Try(len(call.tries) + 1, call.first.name[:160], datetime.now(UTC))
            call.tries.append(attempt)
            outcome = await self._try(url, headers, body, call, attempt)
            if isinstance(outcome, Posted):
                return outcome
            attempt.end()
            attempt.error_type = outcome.error_type
            pause = _pause_before_next(outcome, attempt.number)
            if pause is None or time.monotonic() + pause > give_up_at:
                raise UpstreamFailed(outcome)
            await asyncio.sleep(pause)

    async def _try(
        self, url: str, headers: list[tuple[str, str]], body: bytes, call: Call, attempt: Try
    ) -> Posted | Verdict:
        call.reading.generation_id = ""
        try:
            response = await self.poster.post(url, headers, body, _patience())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return never_connected()
        except (TimeoutError, aiohttp.ServerTimeoutError):
            return no_answer("timeout")
        except (aiohttp.ClientError, OSError):
            return no_answer("no_answer")
        attempt.status = response.status
        attempt.generation_id = generation_id_of(response)
        call.reading.generation_id = attempt.generation_id
        if response.status == 200:
            return response
        text = await _read_error(response)
        return judge(response.status, text, response.headers.get("Retry-After", ""), own_key=call.uses_own_key)


def generation_id_of(response: Posted) -> str:
    """The provider's handle for the call, from the headers; empty when it names none."""
    return response.headers.get("X-Generation-Id", "")[:80]


async def get_json(session: aiohttp.ClientSession, url: str, secret: str) -> tuple[int, bytes]:
    """Status and body of a small read. Raises aiohttp.ClientError, TimeoutError, OSError."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    timeout = aiohttp.ClientTimeout(total=10)
    async with session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
        return response.status, await response.read()


def _pause_before_next(verdict: Verdict, tries: int) -> float | None:
    """Seconds to wait before another try; None when there is to be none."""
    if tries >= min(verdict.tries, settings.GATEWAY_ATTEMPTS):
        return None
    if verdict.retry_after is not None:
        return verdict.retry_after
    return _FIRST_PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


async def _read_error(response: Posted) -> bytes:
    """The body, which may come in pieces; what there is of it when it breaks off."""
    body = b""
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            while len(body) < _LARGEST_ERROR and (piece := await response.content.readany()):
                body += piece
    except (aiohttp.ClientError, OSError, TimeoutError):
        pass
    finally:
        response.close()
    return body[:_LARGEST_ERROR]


def _patience() -> aiohttp.ClientTimeout:
    return _timeout(settings.GATEWAY_CONNECT_SECONDS, settings.GATEWAY_IDLE_SECONDS)


@lru_cache(maxsize=8)
def _timeout(connect: float, idle: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=idle)


def _headers(call: Call, exchange: Exchange) -> list[tuple[str, str]]:
    headers = [("Authorization", f"Bearer {call.key.secret}")]
    passed_on = _PASSED_ON if call.key.kind == "shared" else _PASSED_ON_WITH_CACHE
    for name, canonical in passed_on:
        if name in exchange.headers:
            value = exchange.header(name)
            if value and value.isascii() and value.isprintable():
                headers.append((canonical, value))
    return headers
