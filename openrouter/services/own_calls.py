"""Calls that Farebox makes for itself: nobody is charged, and what they cost stands in our books like any other call.

Each is an ``Attempt`` that answered no customer's call, so that the shared key's usage agrees with the provider's.
"""

import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
from openrouter.client import Answer, ProviderError, Question, ask_model
from openrouter.client.errors import ProviderRefused
from openrouter.gateway.access import hash_of_key
from openrouter.models import Attempt
from openrouter.upstreams import upstream_for

RUNNING = "running"  # in place of an error while the call runs
_LONGEST = timedelta(minutes=10)  # a row that is older was left by a dead worker


def ask_as_platform(*, organization: Organization, call_id: UUID, number: int, question: Question) -> Answer:
    """Ask a model on behalf of ``organization``, at our cost; never within a transaction.

    ``call_id`` and ``number`` name the call: one that was made under them before is not made again. Raises
    ProviderError, IntegrityError.
    """
    upstream, began = upstream_for(organization.mode), time.monotonic()
    attempt = Attempt(
        organization=organization,
        hold_id=call_id,
        number=number,
        model=question.model[:160],
        key_hash=hash_of_key(upstream.api_key),
        error_type=RUNNING,
        started_at=timezone.now(),
    )
    with transaction.atomic(durable=True):
        attempt.save(force_insert=True)
    try:
        answer = ask_model(upstream, question)
    except ProviderError as error:
        _end(attempt, began, status_code=getattr(error, "status", None), error_type=_kind(error))
        raise
    _end(
        attempt,
        began,
        status_code=200,
        model=answer.model[:160],
        generation_id=answer.generation_id[:80],
        cost=answer.cost,
    )
    return answer


def own_calls_running(key_hash: str, at: datetime | None = None) -> bool:
    """Whether a call of ours with this key has not ended: its cost may be in the provider's books and not in ours."""
    since = (at or timezone.now()) - _LONGEST
    return Attempt.objects.filter(started_at__gte=since, key_hash=key_hash, error_type=RUNNING).exists()


def _end(attempt: Attempt, began: float, *, error_type: str = "", **facts: object) -> None:
    """Write the row anew: an attempt gets its id when its call ends, which is how recovery knows recent ones."""
    ended = Attempt(
        organization_id=attempt.organization_id,
        hold_id=attempt.hold_id,
        number=attempt.number,
        key_hash=attempt.key_hash,
        started_at=attempt.started_at,
        duration_ms=int((time.monotonic() - began) * 1000),
        error_type=error_type,
        **{"model": attempt.model, **facts},
    )
    with transaction.atomic():
        attempt.delete()
        ended.save(force_insert=True)


def _kind(error: ProviderError) -> str:
    if isinstance(error, ProviderRefused) and error.error_type:
        return error.error_type[:60]
    return "outcome_unknown" if error.outcome_unknown else "not_made"
