"""One attempt over HTTP: at most ten seconds, no redirects, to a checked address, with no more read than is kept."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from core.redaction import redact
from outbox.webhooks.addresses import Target, targets_of
from outbox.webhooks.errors import UrlRefused

SECONDS = 10.0  # name, connection, request and the head of the answer
_CONNECT_SECONDS = 4.0  # then the next address of the same name
_EXCERPT_SECONDS = 2.0
_EXCERPT = 1000
_MOST_ADDRESSES = 3
# More than names of silent servers can keep at a time: every endpoint of a run, some ten seconds each, for as long as a
# resolver tries. Nobody else's message waits behind them.
_RESOLVERS = 256
_GOOD = range(200, 300)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt. ``code`` None: no answer."""

    code: int | None
    text: str  # how the answer began
    problem: str  # why it counts as failed; empty for a success
    duration_ms: int

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has taken it."""
        return self.code in _GOOD


class Courier:
    """Sends any number of requests at once from a thread of its own, which touches nothing but the network."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="webhooks", daemon=True)
        self._thread.start()
        self._session = self._call(_session()).result()
        # Resolving cannot be interrupted: a name whose server is silent keeps a thread, and nobody else waiting.
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="webhook-names")
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._session.close()).result()
        self._resolvers.shutdown(wait=False, cancel_futures=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> "Future[Answer]":
        """POST ``body``; the answer comes at the latest after SECONDS and a moment, and never as an exception."""
        return self._call(_attempt(self._session, self._resolvers, url, body, headers))

    def _call(self, task: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(task, self._loop)


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # A connection serves one request: a receiver that closes idle ones early fails none.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # a proxy would resolve the name again
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        skip_auto_headers=("User-Agent", "Accept-Encoding"),
    )


@dataclass(slots=True)
class _Heard:
    """What has come of an attempt so far."""

    code: int | None = None
    text: str = ""


async def _attempt(
    session: aiohttp.ClientSession, resolvers: Executor, url: str, body: bytes, headers: Mapping[str, str]
) -> Answer:
    began = time.monotonic()
    heard, problem = _Heard(), ""
    try:
        async with asyncio.timeout(SECONDS):
            targets = await asyncio.get_running_loop().run_in_executor(resolvers, targets_of, url)
            await _exchange(session, targets[:_MOST_ADDRESSES], body, headers, heard)
    except TimeoutError:
        problem = f"no answer within {SECONDS:.0f} seconds"
    except UrlRefused as refusal:
        problem = refusal.detail
    except aiohttp.ClientError as error:
        problem = _words(error)
    except socket.gaierror:
        problem = "the name does not resolve"
    except Exception as error:
        # Whatever a stranger's server can bring about is the outcome of this attempt, and no fault of the sender.
        problem = f"{type(error).__name__}: {error}"
    if heard.code is not None:
        problem = "" if heard.code in _GOOD else _status_words(heard.code)
    return Answer(heard.code, heard.text, redact(problem)[:200], int((time.monotonic() - began) * 1000))


async def _exchange(
    session: aiohttp.ClientSession, targets: list[Target], body: bytes, headers: Mapping[str, str], heard: _Heard
) -> None:
    for place, target in enumerate(targets, 1):
        try:
            await _post(session, target, body, headers, heard)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            # Nothing was sent yet: another address of the same name may be reachable.
            if place == len(targets):
                raise
        else:
            return


async def _post(
    session: aiohttp.ClientSession, target: Target, body: bytes, headers: Mapping[str, str], heard: _Heard
) -> None:
    sent = {**headers, "Host": target.host, "Content-Type": "application/json", "User-Agent": "Farebox-Webhooks/1"}
    name = target.name if target.url.scheme == "https" else None
    request = session.post(target.url, data=body, headers=sent, allow_redirects=False, server_hostname=name)
    async with request as response:
        heard.code = response.status
        heard.text = await _excerpt(response)


async def _excerpt(response: aiohttp.ClientResponse) -> str:
    """How the answer begins. Its status has said what counts: a body that drips or breaks off changes nothing."""
    read = bytearray()
    try:
        async with asyncio.timeout(_EXCERPT_SECONDS):
            while len(read) < _EXCERPT and (piece := await response.content.read(_EXCERPT - len(read))):
                read += piece
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    return redact(read.decode("utf-8", "replace").replace("\0", ""))[:_EXCERPT]


def _words(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return "the certificate or the encryption is not accepted"
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return "no connection"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "the connection was closed before an answer came"
    return f"the answer is not HTTP ({type(error).__name__})"


def _status_words(code: int) -> str:
    if 300 <= code < 400:
        return f"answered {code}; redirects are not followed"
    return f"answered {code}"
