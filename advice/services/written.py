"""Written advice: asked for by people, written by a job that calls the provider outside of any transaction."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.entitlements import require
from accounts.models import Organization
from accounts.principal import Actor
from accounts.services import lock_organization
from advice.errors import AdviceBeingWritten, AdviceNotConfigured, AdviceTooSoon, NothingToAdviseOn
from advice.models import WritingState, WrittenAdvice
from advice.written.figures import figures_of, fingerprint_of
from advice.written.question import question_of, readable_text
from openrouter.client import ProviderError
from openrouter.services import ask_as_platform
from openrouter.upstreams import upstream_for
from outbox.taskruns import apart

ENTITLEMENT, WRITTEN = "recommendations", "ai"
EVERY = timedelta(hours=24)  # with the same figures
MOST_A_DAY = 5  # whatever the figures do, failures included: each may cost the platform a call
MOST_ATTEMPTS = 2  # of one request, when workers die
_LEASE = timedelta(minutes=3)  # longer than the longest call
_STATE = WritingState


def ask_for_advice(*, organization_id: UUID, actor: Actor, at: datetime) -> WrittenAdvice:
    """Have advice written from the figures of now.

    Raises NotInTier, AdviceNotConfigured, NothingToAdviseOn, AdviceBeingWritten, AdviceTooSoon.
    """
    require(organization_id, ENTITLEMENT, WRITTEN)
    organization = Organization.objects.get(pk=organization_id)
    if not upstream_for(organization.mode).can_be_asked:
        raise AdviceNotConfigured()
    figures = figures_of(organization_id, at)
    if not figures["totals"]["events"]:
        raise NothingToAdviseOn()
    fingerprint = fingerprint_of(figures)
    with transaction.atomic():
        lock_organization(organization_id)
        _refuse_too_many(organization_id, fingerprint, at)
        return WrittenAdvice.objects.create(
            organization_id=organization_id,
            figures=figures,
            fingerprint=fingerprint,
            requested_by=actor.label[:120],
            created_at=at,
        )


def write_advice(*, limit: int = 10) -> int:
    """Have up to ``limit`` requests answered, each apart; how many. Safe to run twice and at once."""
    done = 0
    for _ in range(limit):
        row = _claim(timezone.now())
        if row is None:
            break
        done += 1
        with apart("advice.writing_failed", row.pk):
            _write(row)
    return done


def _refuse_too_many(organization_id: UUID, fingerprint: str, at: datetime) -> None:
    rows = WrittenAdvice.objects.filter(organization_id=organization_id)
    open_one = rows.filter(state=_STATE.ASKED).first()
    if open_one is not None:
        raise AdviceBeingWritten(advice_id=open_one.pk)
    recent = list(rows.filter(created_at__gt=at - EVERY).order_by("-created_at"))
    same = next((row for row in recent if row.state == _STATE.WRITTEN and row.fingerprint == fingerprint), None)
    if same is not None:
        raise AdviceTooSoon(again_at=same.created_at + EVERY)
    if len(recent) >= MOST_A_DAY:
        detail = f"Advice was asked for {len(recent)} times within a day, which is the most there is."
        raise AdviceTooSoon(detail, again_at=recent[MOST_A_DAY - 1].created_at + EVERY)


def _claim(at: datetime) -> WrittenAdvice | None:
    with transaction.atomic(durable=True):  # what follows must be in no transaction
        rows = WrittenAdvice.objects.select_for_update(skip_locked=True, of=("self",)).order_by("created_at")
        is_free = Q(claimed_until=None) | Q(claimed_until__lt=at)
        row = rows.select_related("organization").filter(is_free, state=_STATE.ASKED).first()
        if row is None:
            return None
        row.attempts, row.claimed_until = row.attempts + 1, at + _LEASE
        row.save(update_fields=["attempts", "claimed_until"])
        return row


def _write(row: WrittenAdvice) -> None:
    if row.attempts > MOST_ATTEMPTS:
        _end(row, state=_STATE.FAILED, error="The worker was stopped each time.")
        return
    try:
        answer = ask_as_platform(
            organization=row.organization, call_id=row.pk, number=row.attempts, question=question_of(row.figures)
        )
    except ProviderError as error:
        _end(row, state=_STATE.FAILED, error=str(error)[:300])
        return
    except Exception as error:
        _end(row, state=_STATE.FAILED, error=type(error).__name__)
        raise
    text = readable_text(answer.text, is_cut=answer.is_cut)
    _end(
        row,
        state=_STATE.WRITTEN if text else _STATE.FAILED,
        error="" if text else "The model answered nothing.",
        text=text,
        model=answer.model[:160],
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        cost=answer.cost,
    )


def _end(row: WrittenAdvice, **facts: object) -> None:
    """Keep what came of it, unless the lease has passed to another worker."""
    mine = WrittenAdvice.objects.filter(pk=row.pk, state=_STATE.ASKED, claimed_until=row.claimed_until)
    mine.update(claimed_until=None, finished_at=timezone.now(), **facts)
