"""How long an answer will be: as the caller says, else as this customer's answers of the model were, else a guess."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import F, Sum

from metering.models import Kind, UsageDay

GIVEN, HISTORY, ASSUMED, NONE = "given", "history", "assumed", "none"

# Without any knowledge of the task: a paragraph or two.
_ASSUMED, _ASSUMED_P95 = 300, 1_200
_DAYS_BACK = timedelta(days=30)
_FEWEST_CALLS = 5
# Lengths scatter about as widely as waiting times do: one in twenty is longer than three times the mean.
_P95_OF_MEAN = 3


@dataclass(frozen=True, slots=True)
class AnswerLength:
    """Tokens of one answer: likely, and exceeded once in twenty times. ``basis`` says how it is known."""

    likely: int
    p95: int
    basis: str


def answer_length(
    organization_id: UUID, model_id: str, *, cap: int | None, expected: int | None, at: datetime
) -> AnswerLength:
    """The length of an answer within ``cap`` tokens (None: there is none); ``expected`` is the caller's own word."""
    if cap is None:
        return AnswerLength(0, 0, NONE)
    if expected is not None:
        return AnswerLength(min(expected, cap), min(expected, cap), GIVEN)
    mean = _mean_answer(organization_id, model_id, at)
    if mean is None:
        return AnswerLength(min(_ASSUMED, cap), min(_ASSUMED_P95, cap), ASSUMED)
    return AnswerLength(min(mean, cap), min(_P95_OF_MEAN * mean, cap), HISTORY)


def _mean_answer(organization_id: UUID, model_id: str, at: datetime) -> int | None:
    """The mean of the last 30 days, rounded up; None when there were too few calls to tell."""
    first = (at.astimezone(UTC) - _DAYS_BACK).date()
    rows = UsageDay.objects.filter(
        organization_id=organization_id, day__gte=first, model=model_id, kind__in=(Kind.CHAT, Kind.COMPLETION)
    )
    sums = rows.aggregate(calls=Sum(F("events") - F("errors")), tokens=Sum("completion_tokens"))
    calls, tokens = sums["calls"] or 0, sums["tokens"] or 0
    return -(-tokens // calls) if calls >= _FEWEST_CALLS and tokens else None
