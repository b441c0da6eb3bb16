"""``Idempotency-Key``: the same request sent twice moves money once and is answered the same.

How it holds when things go wrong:

* The first request claims the key in a transaction of its own, so a second one sees it at once and is told to come back
  (409) rather than made to wait.
* The work and its stored answer are committed together. A crash before that commit leaves nothing; after it, the answer
  is there to be replayed.
* A claim without an answer is given up after ``CLAIM_LASTS``: a crashed first request never blocks its key for ever.
  Should the first one still be running then, it finds its claim gone when it wants to store its answer, and everything
  it did is rolled back.
* Work that cannot be rolled back (a call to a provider) uses ``atomic=False`` and must be safe to repeat by itself.
  Ledger movements are: their own unique key stays for ever, after the stored answer is cleaned away.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.response import Response

from accounts.errors import StillRunning
from accounts.models import IdempotencyRecord
from accounts.requests import ApiRequest
from core.errors import InvalidRequest, KeyReused
from core.jsonio import dumps, wire_form
from core.parsers import body_limit, refuse_announced_size

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
# Longer than any request runs.
CLAIM_LASTS = timedelta(minutes=2)
ANSWERS_ARE_KEPT = timedelta(days=30)
LONGEST_KEY = 255
# What went wrong may not go wrong again: these are not answers, and the next attempt is a new one.
_NOT_ANSWERS = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer, replayed byte for byte."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether it is kept: results and refusals are, faults and "come back later" are not."""
        return self.status < 500 and self.status not in _NOT_ANSWERS

    def as_response(self) -> HttpResponse:
        """The replay."""
        headers = {**self.headers, REPLAYED_HEADER: "true"}
        return HttpResponse(self.body, status=self.status, content_type=self.content_type, headers=headers)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry a request out, or the answer of the one that already was."""

    record_id: int
    claimed_at: datetime
    answer: Answer | None = None


def idempotency_key(header: str | None) -> str | None:
    """The key in the header, given plain or as the quoted string of the IETF draft. Raises InvalidRequest."""
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidRequest(f"{HEADER} is 1 to {LONGEST_KEY} printable ASCII characters.")
    return key


def fingerprint_of(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()


_CLAIM = """
INSERT INTO accounts_idempotencyrecord (organization_id, key, route, fingerprint, content_type, headers, created_at)
VALUES (%s, %s, %s, %s, '', '{}', %s)
ON CONFLICT (organization_id, key) DO NOTHING
RETURNING id
"""

# A claim of a request that died is taken over by exactly one of those who find it.
_TAKE_OVER = """
UPDATE accounts_idempotencyrecord SET created_at = %s
WHERE id = %s AND status IS NULL AND created_at = %s
"""

_ANSWER = """
UPDATE accounts_idempotencyrecord SET status = %s, body = %s, content_type = %s, headers = %s
WHERE id = %s AND status IS NULL AND created_at = %s
"""


def claim_key(*, organization_id: UUID, key: str, route: str, fingerprint: str, at: datetime) -> Claim:
    """Claim ``key`` for a request, or find the answer it already has.

    Call outside any transaction: others must see the claim at once. Raises KeyReused for another request,
    StillRunning while the first one is being carried out.
    """
    values: list[Any] = [organization_id, key, route[:200], fingerprint, at]
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        if row := cursor.fetchone():
            return Claim(row[0], at)
    record = IdempotencyRecord.objects.filter(organization_id=organization_id, key=key).first()
    if record is None:
        # Given up between the two statements: whoever comes next may start afresh.
        raise StillRunning()
    if record.fingerprint != fingerprint:
        raise KeyReused(key=key)
    if record.status is not None:
        return Claim(record.id, record.created_at, _stored(record))
    return _take_over(record, at)


def _take_over(record: IdempotencyRecord, at: datetime) -> Claim:
    if at - record.created_at >= CLAIM_LASTS:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_OVER, [at, record.id, record.created_at])
            if cursor.rowcount:
                return Claim(record.id, at)
    raise StillRunning()


def _stored(record: IdempotencyRecord) -> Answer:
    return Answer(record.status or 0, bytes(record.body or b""), record.content_type, record.headers)


def store_answer(claim: Claim, answer: Answer) -> None:
    """Keep the answer for replays. Raises StillRunning when another request has taken the claim over meanwhile."""
    values: list[Any] = [answer.status, answer.body, answer.content_type, dumps(answer.headers).decode()]
    with connection.cursor() as cursor:
        cursor.execute(_ANSWER, [*values, claim.record_id, claim.claimed_at])
        if not cursor.rowcount:
            raise StillRunning()


def renew_claim(claim: Claim, *, at: datetime) -> Claim:
    """The same claim for another CLAIM_LASTS, for long work. Raises StillRunning when it was taken over."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OVER, [at, claim.record_id, claim.claimed_at])
        if not cursor.rowcount:
            raise StillRunning()
    return Claim(claim.record_id, at)


def give_up_claim(claim: Claim) -> None:
    """Forget a claim whose request had no final answer, so that a retry starts afresh."""
    IdempotencyRecord.objects.filter(id=claim.record_id, status=None, created_at=claim.claimed_at).delete()


def forget_old_answers(*, at: datetime) -> int:
    """Drop answers older than ``ANSWERS_ARE_KEPT``; the number dropped."""
    return IdempotencyRecord.objects.filter(created_at__lt=at - ANSWERS_ARE_KEPT).delete()[0]


Handler = Callable[..., HttpResponseBase]
Work = Callable[[], Any]
Refuse = Callable[[Exception], HttpResponseBase]


def idempotent(handler: Handler | None = None, *, atomic: bool = True) -> Any:
    """Make a POST handler of a view honour ``Idempotency-Key``; without the header it runs as ever.

    With ``atomic`` the handler's writes and its stored answer are one transaction.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def answered(view: Any, request: ApiRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            key = idempotency_key(request.headers.get(HEADER))
            if key is None:
                return handler(view, request, *args, **kwargs)
            claim = _claim_for(view, request, key)
            if claim.answer is not None:
                return claim.answer.as_response()
            work = partial(handler, view, request, *args, **kwargs)
            return carry_out(claim, work, refuse=view.handle_exception, atomic=atomic)

        answered.is_idempotent = True  # type: ignore[attr-defined]
        return answered

    return decorate if handler is None else decorate(handler)


def _claim_for(view: Any, request: ApiRequest, key: str) -> Claim:
    http = request._request
    refuse_announced_size(http.META.get("CONTENT_LENGTH"), body_limit(view))
    return claim_key(
        organization_id=request.auth.organization_id,
        key=key,
        route=http.path,
        fingerprint=fingerprint_of(http.method or "", http.get_full_path(), http.body),
        at=timezone.now(),
    )


def carry_out(
    claim: Claim, work: Work, *, refuse: Refuse, atomic: bool = True, kept: Callable[[Answer], Answer] | None = None
) -> HttpResponseBase:
    """Do what a claim is for and keep its answer; ``refuse`` makes the answer to what ``work`` raises.

    With ``atomic`` the writes of ``work`` and the stored answer are one transaction. ``kept`` makes what is stored of
    the answer to work that was done, where that is not all of it.
    """
    return _run_atomic(claim, work, refuse, kept or _as_it_is) if atomic else _run(claim, work, refuse)


def _as_it_is(answer: Answer) -> Answer:
    return answer


def _run_atomic(claim: Claim, work: Work, refuse: Refuse, kept: Callable[[Answer], Answer]) -> HttpResponseBase:
    try:
        with transaction.atomic():
            response = work()
            answer = _answer_of(response)
            if answer.is_final:
                store_answer(claim, kept(answer))
    except StillRunning:
        raise
    except Exception as error:
        return _refused(claim, refuse, error)
    if not answer.is_final:
        give_up_claim(claim)
    return response


def _run(claim: Claim, work: Work, refuse: Refuse) -> HttpResponseBase:
    try:
        response = work()
    except Exception as error:
        return _refused(claim, refuse, error)
    _conclude(claim, _answer_of(response))
    return response


def _refused(claim: Claim, refuse: Refuse, error: Exception) -> HttpResponseBase:
    """The refusal, kept like any other answer when it is final."""
    try:
        response = refuse(error)
    except BaseException:
        give_up_claim(claim)
        raise
    _conclude(claim, _answer_of(response))
    return response


def _conclude(claim: Claim, answer: Answer) -> None:
    if answer.is_final:
        store_answer(claim, answer)
    else:
        give_up_claim(claim)


def _answer_of(response: Any) -> Answer:
    if isinstance(response, Response):
        body = b"" if response.data is None else dumps(wire_form(response.data))
        content_type = response.content_type or "application/json"
    else:
        body, content_type = response.content, response.headers.get("Content-Type", "")
    headers = {name: response.headers[name] for name in ("Location",) if name in response.headers}
    return Answer(response.status_code, body, content_type, headers)
