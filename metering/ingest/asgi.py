"""Ingestion outside Django: requests that arrive together share a statement and a commit.

Answers are those of the views in ``metering.ingest.views``: the same functions decode, price, record and answer. A
request without an API key in its header, with an ``Idempotency-Key`` or with a query, is left to those.
"""

import asyncio
from datetime import UTC, datetime

import structlog
from structlog.contextvars import bound_contextvars

from accounts.addresses import client_address
from accounts.authentication import bearer_token
from accounts.directory import authenticate_key_async
from accounts.errors import InsufficientScope
from accounts.idempotency import Answer
from accounts.principal import Principal
from accounts.ratelimits import rate_limit_headers, take_async
from accounts.ratelimits.policy import api_buckets
from accounts.ratelimits.throttle import too_many
from accounts.scopes import Scope as Permission
from core.asgi import App, ClientGone, Receive, Scope, Send, headers_of, read_body, respond
from core.errors import DomainError, InvalidRequest
from core.groupcommit import GroupCommit
from core.ids import uuid7
from core.jsonio import dumps
from core.problems import MEDIA_TYPE, problem
from metering.ingest.reporter import Reporter
from metering.ingest.requests import IngestRequest, answer_requests, price_request
from metering.ingest.routes import ROUTES, refusal_answer, refuse_other_types

log = structlog.get_logger(__name__)
_BY_PATH = {route.path: route for route in ROUTES}
_KB = 1024
# Bodies up to a size share a statement with others of their size: single events never wait behind large batches.
_SMALL = 4 * _KB
_LANES = ((_SMALL, 256), (64 * _KB, 32), (1 << 40, 4), (1 << 40, 4))


class Ingest:
    """The application. One for each process; it owns the threads that write. ``otherwise`` takes what is not for it."""

    def __init__(self, otherwise: App) -> None:
        self._otherwise = otherwise
        self._lanes = [
            (largest, _lane(f"ingest-{n}", largest, together)) for n, (largest, together) in enumerate(_LANES)
        ]

    def serves(self, path: str) -> bool:
        """Whether requests for ``path`` come here."""
        return path.rstrip("/") in _BY_PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_of(scope)
        if (
            scope["method"] != "POST"
            or scope.get("query_string")
            or b"authorization" not in headers
            or b"idempotency-key" in headers
        ):
            await self._otherwise(scope, receive, send)
            return
        limits: dict[str, str] = {}
        try:
            answer = await self._answer(scope, headers, receive, limits)
        except ClientGone:
            # The server says the same of a body whose framing is broken, and that client still listens.
            detail = "The request's body broke off, or its chunks are not framed as HTTP has it."
            answer = refusal_answer(InvalidRequest(detail))
        except DomainError as refusal:
            answer = refusal_answer(refusal)
        except Exception as error:
            answer = _fault(error)
        await respond(send, answer.status, answer.body, answer.content_type, [*answer.headers.items(), *limits.items()])

    async def close(self) -> None:
        """Finish what was taken; nothing is taken afterwards."""
        for _, lane in self._lanes:
            await asyncio.to_thread(lane.close)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, limits: dict[str, str]
    ) -> Answer:
        route = _BY_PATH[scope["path"].rstrip("/")]
        at = datetime.now(UTC)
        principal = await _principal(scope, headers, at)
        decision = await take_async(api_buckets(principal, "ingest"))
        limits |= rate_limit_headers(decision)
        if not decision.admitted:
            raise too_many(decision)
        refuse_other_types(headers.get(b"content-type", b"").decode("latin-1"))
        body = await read_body(receive, headers, route.max_body_bytes)
        return await self._lane(len(body)).submit(IngestRequest(route, Reporter.of(principal), body, at))

    def _lane(self, size: int) -> GroupCommit[IngestRequest, Answer]:
        """The lane for bodies of ``size`` with the least to do: an idle one before one that works."""
        fitting = next(largest for largest, _ in self._lanes if size <= largest)
        return min((lane for largest, lane in self._lanes if largest == fitting), key=lambda lane: lane.unfinished)


def _lane(name: str, largest: int, together: int) -> GroupCommit[IngestRequest, Answer]:
    """Requests with many events are priced while those before them are written; for one event the change of thread
    costs more than that saves."""
    prepare = price_request if largest > _SMALL else None
    return GroupCommit(answer_requests, name=name, prepare=prepare, largest_batch=together, longest_queue=2_000)


async def _principal(scope: Scope, headers: dict[bytes, bytes], at: datetime) -> Principal:
    secret = bearer_token(headers[b"authorization"].decode("latin-1"))
    peer = scope["client"][0] if scope.get("client") else None
    forwarded = headers.get(b"x-forwarded-for")
    address = client_address(peer, forwarded.decode("latin-1") if forwarded else None)
    principal = await authenticate_key_async(secret or "", at=at, ip=address)
    if not principal.has_scope(Permission.USAGE_WRITE):
        raise InsufficientScope(
            f'This needs the scope "{Permission.USAGE_WRITE}".',
            required_scope=str(Permission.USAGE_WRITE),
            granted_scopes=sorted(principal.scopes),
        )
    return principal


def _fault(error: Exception) -> Answer:
    """Nobody expected this: it is logged under the id that the answer names, and says nothing."""
    with bound_contextvars(request_id=str(uuid7())):
        log.error("ingest.unexpected", exc_info=error)
        document = problem(status=500, code="internal_error", title="Something went wrong on our side.")
    return Answer(500, dumps(document), MEDIA_TYPE)
