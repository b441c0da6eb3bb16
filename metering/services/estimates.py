"""Learning from recorded calls, in steps that are each whole or not at all: no call is learned from twice."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from core.jsonio import dumps_text
from metering.estimates.calibration import Calibration
from metering.estimates.learning import Lesson, Place, Tally
from metering.estimates.models import LearningMark, TokenCalibration
from metering.models import UsageEvent

# An event is written a moment after the instant of its receipt; one that took longer is not learned from.
SETTLED_AFTER = timedelta(seconds=15)
_FIRST_LOOK_BACK = timedelta(days=30)
_STEP = timedelta(minutes=10)
_STEPS = 6  # of whatever lies between, until steps are that short
_LATE = timedelta(days=2)  # what happened longer before its receipt was reported, not called
_MOST_CALLS = 20_000  # of a step that teach how prompts count
_KEPT_A_DAY = 0.9  # of an answer's weight

_LENGTHS = """
INSERT INTO metering_answerlength AS kept (organization_id, model, bin, weight)
SELECT e.organization_id, e.model, ceil(ln(e.completion_tokens) / ln(1.1) - 1e-9)::smallint, count(*)
FROM metering_usageevent e JOIN accounts_organization o ON o.id = e.organization_id
WHERE e.received_at >= %(since)s AND e.received_at < %(until)s AND e.occurred_at >= %(earliest)s
      AND e.kind IN ('chat', 'completion') AND e.status = 'ok' AND e.completion_tokens > 0 AND e.model <> ''
      AND e.voided_at IS NULL AND o.mode = 'live'
GROUP BY GROUPING SETS ((e.organization_id, e.model, 3), (e.model, 3))
ORDER BY 1, 2, 3
ON CONFLICT (organization_id, model, bin) DO UPDATE SET weight = kept.weight + excluded.weight
"""
_TALLIES = """
INSERT INTO metering_estimateaccuracy AS kept (organization_id, model, day, prompts, prompts_inside, prompts_above,
    prompts_over, error, answers, answers_inside, charges, charges_inside)
SELECT organization_id, model, day, prompts, prompts_inside, prompts_above,
    prompts_over, error, answers, answers_inside, charges, charges_inside
FROM jsonb_populate_recordset(NULL::metering_estimateaccuracy, %s::jsonb)
ON CONFLICT (organization_id, model, day) DO UPDATE SET
    prompts = kept.prompts + excluded.prompts,
    prompts_inside = kept.prompts_inside + excluded.prompts_inside,
    prompts_above = kept.prompts_above + excluded.prompts_above,
    prompts_over = kept.prompts_over + excluded.prompts_over,
    error = kept.error + excluded.error,
    answers = kept.answers + excluded.answers,
    answers_inside = kept.answers_inside + excluded.answers_inside,
    charges = kept.charges + excluded.charges,
    charges_inside = kept.charges_inside + excluded.charges_inside
"""


def learn_from_usage(*, at: datetime, since: datetime | None = None) -> int:
    """Learn from the events received since the last time (the first time: since ``since``); how many were measured.

    A step is one transaction; two learners take turns, and the second finds nothing left.
    """
    learned = 0
    while (step := _step(at - SETTLED_AFTER, since)) is not None:
        learned += step
    return learned


def fade_lengths(*, at: datetime) -> bool:
    """Let old answers count a tenth less, once a day (UTC): half is gone in a week."""
    today = at.astimezone(UTC).date()
    with transaction.atomic():
        mark = _mark()
        if mark.faded_on is not None and mark.faded_on >= today:
            return False
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM metering_answerlength WHERE weight < 0.05")
            cursor.execute("UPDATE metering_answerlength SET weight = weight * %s", [_KEPT_A_DAY])
        mark.faded_on = today
        mark.save(update_fields=["faded_on"])
    return True


def _mark() -> LearningMark:
    LearningMark.objects.bulk_create([LearningMark()], ignore_conflicts=True)
    return LearningMark.objects.select_for_update().get(pk=1)


@transaction.atomic
def _step(end: datetime, since: datetime | None) -> int | None:
    """One slice of time; None when nothing is left before ``end``."""
    mark = _mark()
    start = mark.learned_until or since or end - _FIRST_LOOK_BACK
    if start >= end:
        return None
    until = min(start + max(_STEP, (end - start) / _STEPS), end)
    lesson = Lesson()
    taken = lesson.take(_measured(start, until))  # judged by what was known before, lengths too
    with connection.cursor() as cursor:
        cursor.execute(_LENGTHS, {"since": start, "until": until, "earliest": start - _LATE})
        if lesson.tallies:
            cursor.execute(_TALLIES, [dumps_text([_row(place, tally) for place, tally in lesson.tallies.items()])])
    _keep(lesson.calibrations, until)
    mark.learned_until = until
    mark.save(update_fields=["learned_until"])
    return taken


def _measured(start: datetime, until: datetime) -> Iterator[UsageEvent]:
    """The calls of live organizations whose prompts were counted and billed, oldest first."""
    events = UsageEvent.objects.filter(
        received_at__gte=start,
        received_at__lt=until,
        occurred_at__gte=start - _LATE,
        source="gateway",
        status="ok",
        cost_source__in=("provider", "computed"),
        voided_at__isnull=True,
        derivation__has_key="sized",
        organization__mode="live",
    )
    figures = ("model", "prompt_tokens", "completion_tokens", "charge", "price_id", "is_free", "is_byok", "derivation")
    rows = events.order_by("received_at", "id").only("organization_id", "occurred_at", *figures)
    return rows[:_MOST_CALLS].iterator(chunk_size=2_000)


def _row(place: Place, tally: Tally) -> dict[str, object]:
    organization_id, model, day = place
    return {"organization_id": organization_id, "model": model, "day": day, **asdict(tally)}


def _keep(calibrations: dict[str, Calibration], at: datetime) -> None:
    rows = [
        TokenCalibration(
            model=model,
            vocabulary=calibration.family.vocabulary,
            sums=asdict(calibration.sums),
            scores=[round(score, 4) for score in calibration.scores],
            calls=calibration.calls,
            learned_at=at,
        )
        for model, calibration in sorted(calibrations.items())
    ]
    TokenCalibration.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["model"],
        update_fields=["vocabulary", "sums", "scores", "calls", "learned_at"],
    )
