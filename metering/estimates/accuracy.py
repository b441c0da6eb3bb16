"""How good estimates have been: how often what was stated contained the truth, by model, measured on recorded calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Max, Sum

from metering.estimates.calibration import STATED, Calibration
from metering.estimates.learning import learned_of
from metering.estimates.models import EstimateAccuracy
from metering.models import LanguageModel

DAYS, LONGEST = 30, 366
STATED_ABOVE = 0.95  # of lengths and charges that are exceeded once in twenty times
_Z = 1.959964
_FIGURES = (
    *("prompts", "prompts_inside", "prompts_above", "prompts_over", "error"),
    *("answers", "answers_inside", "charges", "charges_inside"),
)


@dataclass(frozen=True, slots=True)
class Share:
    """``inside`` of ``measured``, beside what was stated. ``low`` and ``high``: where the true share lies in 19 of 20
    cases (Wilson's interval), as few calls say little."""

    measured: int
    inside: int
    stated: float

    @property
    def share(self) -> float | None:
        """None when nothing was measured."""
        return self.inside / self.measured if self.measured else None

    @property
    def low(self) -> float | None:
        """See the class."""
        return self._wilson(-1)

    @property
    def high(self) -> float | None:
        """See the class."""
        return self._wilson(1)

    @property
    def holds(self) -> bool:
        """Whether the share may be what is stated, or more."""
        return self.high is None or self.high >= self.stated

    def _wilson(self, side: int) -> float | None:
        if not self.measured:
            return None
        count, share = self.measured, self.inside / self.measured
        centre = share + _Z**2 / (2 * count)
        reach = _Z * (share * (1 - share) / count + _Z**2 / (4 * count**2)) ** 0.5
        return min(max((centre + side * reach) / (1 + _Z**2 / count), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class ModelAccuracy:
    """One model, or all together (``model`` is empty). ``basis`` is how its prompts are counted at present."""

    model: str
    name: str
    basis: str
    learned_from: int
    prompt: Share
    answer: Share
    charge: Share
    mean_error: float | None  # of the likely count, as a share of what was billed
    above: int  # prompts longer than the interval
    beyond_hold: int  # prompts longer than what was held for

    @classmethod
    def of(cls, row: Mapping[str, Any], name: str, calibration: Calibration | None) -> "ModelAccuracy":
        """From sums of EstimateAccuracy."""
        return cls(
            model=row.get("model", ""),
            name=name,
            basis=calibration.basis if calibration else "",
            learned_from=calibration.calls if calibration else 0,
            prompt=Share(row["prompts"], row["prompts_inside"], STATED),
            answer=Share(row["answers"], row["answers_inside"], STATED_ABOVE),
            charge=Share(row["charges"], row["charges_inside"], STATED_ABOVE),
            mean_error=row["error"] / row["prompts"] if row["prompts"] else None,
            above=row["prompts_above"],
            beyond_hold=row["prompts_over"],
        )


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the days from ``first`` to ``last`` (UTC, both included); models with most calls first."""

    first: date
    last: date
    total: ModelAccuracy
    models: list[ModelAccuracy]


def accuracy_of(organization_id: UUID | None, *, at: datetime, days: int = DAYS) -> Accuracy:
    """How good estimates were for an organization (None: for everybody) in the ``days`` up to ``at``. Three queries."""
    last = at.astimezone(UTC).date()
    first = last - timedelta(days=days - 1)
    rows = EstimateAccuracy.objects.filter(day__gte=first, day__lte=last, prompts__gt=0)
    if organization_id is not None:
        rows = rows.filter(organization_id=organization_id)
    sums: list[Any] = list(
        rows.values("model").annotate(**{name: Sum(name) for name in _FIGURES}).order_by("-prompts", "model")
    )
    total = {name: sum(row[name] for row in sums) for name in _FIGURES}
    return Accuracy(first, last, ModelAccuracy.of(total, "", None), _models(sums))


def change_mark_of(organization_id: UUID, *, at: datetime) -> str:
    """Changes whenever :func:`accuracy_of` does."""
    rows = EstimateAccuracy.objects.filter(organization_id=organization_id)
    found = rows.aggregate(prompts=Sum("prompts"), last=Max("day"))
    return f"{found['prompts'] or 0}.{found['last']}.{at.astimezone(UTC).date()}"


def _models(sums: Sequence[Mapping[str, Any]]) -> list[ModelAccuracy]:
    ids = [row["model"] for row in sums]
    names = dict(LanguageModel.objects.filter(pk__in=ids).values_list("id", "name"))
    learned = learned_of(ids)
    return [
        ModelAccuracy.of(
            row, names.get(row["model"], row["model"]), learned.get(row["model"]) or Calibration.of(row["model"])
        )
        for row in sums
    ]
