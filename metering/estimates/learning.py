"""What recorded calls teach: which estimates would have held, and what the next ones should be.

Calls that were measured carry the makeup of their prompt (``derivation["sized"]``: counts by class, no text). Each is
first estimated with what was known before it, which tells how good estimates are, and then learned from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from metering.errors import InvalidPrice, UnpriceableCall
from metering.estimates.answers import AnswerLength, usual_length
from metering.estimates.calibration import WIDTH, Calibration, TokenCount
from metering.estimates.makeup import Makeup
from metering.estimates.models import TokenCalibration
from metering.estimates.regression import Sums
from metering.models import ModelPrice, UsageEvent
from metering.prices import PriceCard
from metering.rating import apply_markup, rate
from metering.usage import TokenUsage

log = structlog.get_logger(__name__)

SIZED = "sized"  # the member of an event's derivation


class Sized(NamedTuple):
    """What was counted when a call was sized. ``most`` tokens of prompt were held for, ``cap`` of answer."""

    makeup: Makeup
    most: int
    cap: int | None

    def facts(self) -> dict[str, Any]:
        """As the event keeps it."""
        return {**self.makeup.facts(), "most": self.most, "cap": self.cap}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Sized":
        """What :meth:`facts` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        cap = facts.get("cap")
        return cls(Makeup.read(facts), int(facts["most"]), None if cap is None else int(cap))


@dataclass(slots=True)
class Tally:
    """How many estimates held; the columns of EstimateAccuracy."""

    prompts: int = 0
    prompts_inside: int = 0
    prompts_above: int = 0
    prompts_over: int = 0
    error: float = 0.0
    answers: int = 0
    answers_inside: int = 0
    charges: int = 0
    charges_inside: int = 0


Place = tuple[UUID, str, date]  # organization, model, day


@dataclass(slots=True)
class Lesson:
    """Some measured calls, judged and learned from in memory; the caller writes the result."""

    calibrations: dict[str, Calibration] = field(default_factory=dict)
    tallies: dict[Place, Tally] = field(default_factory=dict)
    _lengths: dict[tuple[UUID, str], AnswerLength] = field(default_factory=dict)

    def take(self, events: Iterable[UsageEvent]) -> int:
        """Judge and learn from ``events`` in their order; how many could be."""
        taken = 0
        for event in events:
            try:
                sized = Sized.read(event.derivation[SIZED])
            except (KeyError, TypeError, ValueError):
                log.warning("estimates.unreadable_makeup", event=str(event.id))
                continue
            taken += self._take(event, sized)
        for calibration in self.calibrations.values():
            calibration.settle()
        return taken

    def _take(self, event: UsageEvent, sized: Sized) -> bool:
        calibration = self._calibration(event.model)
        if calibration.family.vocabulary != sized.makeup.vocabulary or event.prompt_tokens <= 0:
            return False  # another model answered than the one that was counted for
        told, billed = calibration.count(sized.makeup), event.prompt_tokens
        tally = self.tallies.setdefault(_place_of(event), Tally())
        tally.prompts += 1
        tally.prompts_inside += told.low <= billed <= told.p95
        tally.prompts_above += billed > told.p95
        tally.prompts_over += billed > sized.most
        tally.error += abs(told.likely - billed) / billed
        if sized.cap is not None and event.completion_tokens > 0:
            self._judge_answer(event, sized.cap, told, tally)
        calibration.learn(sized.makeup, billed)
        return True

    def _judge_answer(self, event: UsageEvent, cap: int, told: TokenCount, tally: Tally) -> None:
        answer = self._length(event.organization_id, event.model).within(cap)
        tally.answers += 1
        tally.answers_inside += event.completion_tokens <= answer.p95
        charge = charge_of_lengths(event, max(told.p95, told.likely), answer.p95)
        if charge is not None:
            tally.charges += 1
            tally.charges_inside += event.charge <= charge

    def _calibration(self, model: str) -> Calibration:
        if model not in self.calibrations:
            self.calibrations[model] = calibration_of(model)
        return self.calibrations[model]

    def _length(self, organization_id: UUID, model: str) -> AnswerLength:
        key = (organization_id, model)
        if key not in self._lengths:
            self._lengths[key] = usual_length(*key)
        return self._lengths[key]


def calibration_of(model_id: str) -> Calibration:
    """What was learned of a model by its id."""
    return learned_of([model_id]).get(model_id) or Calibration.of(model_id)


def learned_of(model_ids: Iterable[str]) -> dict[str, Calibration]:
    """What was learned, by model; none of those of whom nothing was. One query."""
    read = ((row.model, read_calibration(row)) for row in TokenCalibration.objects.filter(pk__in=list(model_ids)))
    return {model: calibration for model, calibration in read if calibration.calls}


def read_calibration(row: TokenCalibration) -> Calibration:
    """What a row says; nothing, if the model's vocabulary has become known or another since."""
    calibration = Calibration.of(row.model)
    if row.vocabulary == calibration.family.vocabulary and len(row.sums["xy"]) == WIDTH:
        calibration.sums = Sums(**row.sums)
        calibration.scores = row.scores
        calibration.calls = row.calls
    return calibration


def charge_of_lengths(event: UsageEvent, prompt_tokens: int, answer_tokens: int) -> Any:
    """What ``event`` would have been charged with so long a prompt and answer, under its own prices and terms, USD.

    None when it had no price list, or when the customer's own key paid.
    """
    card = _card(event.price_id) if event.price_id else None
    if card is None or event.is_byok:
        return None
    try:
        cost = rate(
            TokenUsage(prompt_tokens=prompt_tokens, completion_tokens=answer_tokens), card, event.occurred_at
        ).cost
    except UnpriceableCall:
        return None
    components = event.derivation["components"]
    tokens = prompt_tokens + answer_tokens
    return apply_markup(cost, tokens, 1, components, is_free=event.is_free, is_byok=False).charge


@lru_cache(maxsize=512)
def _card(price_id: UUID) -> PriceCard | None:
    """A row of the price book never changes."""
    row = ModelPrice.objects.filter(pk=price_id).first()
    try:
        return None if row is None else PriceCard.from_json(row.pricing)
    except InvalidPrice:
        return None


def _place_of(event: UsageEvent) -> Place:
    return event.organization_id, event.model, event.occurred_at.astimezone(UTC).date()
