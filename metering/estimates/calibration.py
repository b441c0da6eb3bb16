"""What a prompt will be billed as: our count of it, made the model's by what was learned, with an interval.

The middle comes from :mod:`metering.estimates.regression`. The interval is conformal (Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World; Lei et al. 2018): how far off the latest calls were, in units of the deviation
that was expected of each, says how far off the next one will be. Whatever the errors' true law, as long as calls come
in no particular order, the interval then holds as often as it says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, floor

from metering.estimates.content import CLASSES, DEFINITIONS, RATIOS
from metering.estimates.makeup import Makeup
from metering.estimates.regression import Fit, Prior, Sums, fit, t_quantile
from metering.tokens import Family, family_of

# How often the truth lies inside: one time in twenty it is below, one in twenty above.
STATED = 0.9
_ONE_IN = 20
KEPT_SCORES = 400
_FEWEST_SCORES = _ONE_IN - 1  # below this, none of them says what one in twenty is
_FLOOR = 20.0  # tokens: a prompt's size for its error, so that short ones may be off by a few
VOCABULARY, RATIO, LEARNED = "vocabulary", "ratio", "learned"
_LEARNED_FROM = 30  # calls
# What a chat template puts around a message, and before the answer.
_PER_MESSAGE, _PER_CALL = (4.0, 2.0), (3.0, 6.0)
_OWN, _OWN_DEFINITIONS = (1.0, 0.01), (1.0, 0.3)
# How far off a call usually is beyond that, as a share of its prompt.
_ERROR, _ERROR_OF_ANOTHER = 0.005, 0.04
WIDTH = len(CLASSES) + 2


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a prompt: likely, and the interval from ``low`` to ``p95`` that holds STATED of all times.

    ``basis`` is VOCABULARY (counted with the model's own), LEARNED (another's count, corrected by recorded calls) or
    RATIO (corrected by a usual ratio, as too few calls were recorded); ``calls`` is how many were learned from.
    """

    low: int
    likely: int
    p95: int
    basis: str
    vocabulary: str
    content: str
    calls: int = 0


@dataclass(slots=True)
class Calibration:
    """All that is known of one model. ``scores`` are the errors of its latest calls, oldest first."""

    family: Family
    sums: Sums = field(default_factory=lambda: Sums.nothing(WIDTH))
    scores: list[float] = field(default_factory=list)
    calls: int = 0
    _fit: Fit | None = None
    _reach: tuple[float, float] | None = None

    @classmethod
    def of(cls, model_id: str) -> "Calibration":
        """Before anything was learned."""
        return cls(family_of(model_id))

    @property
    def fit(self) -> Fit:
        """The weights as they are believed now."""
        if self._fit is None:
            self._fit = fit(prior_of(self.family), self.sums) if self.sums.calls else _untaught(self.family)
        return self._fit

    @property
    def basis(self) -> str:
        """How prompts are counted at present."""
        if self.family.is_exact:
            return VOCABULARY
        return LEARNED if self.calls >= _LEARNED_FROM else RATIO

    def count(self, makeup: Makeup) -> TokenCount:
        """What the prompt will be billed as."""
        x = row_of(makeup)
        likely, deviation = self._expected(x)
        below, above = self._reach = self._reach or self._measured_reach()
        return TokenCount(
            low=max(floor(likely + below * deviation), 0),
            likely=round(likely),
            p95=ceil(likely + above * deviation),
            basis=self.basis,
            vocabulary=makeup.vocabulary,
            content=makeup.main_class,
            calls=self.calls,
        )

    def learn(self, makeup: Makeup, billed: int) -> None:
        """One call: the provider billed ``billed`` tokens for a prompt of this makeup."""
        x = row_of(makeup)
        likely, deviation = self._expected(x)
        if self.fit.freedom >= _LEARNED_FROM:  # before, what was expected is so wide that errors look small beside it
            self.scores = [*self.scores[-(KEPT_SCORES - 1) :], (billed - likely) / deviation]
        self.sums.add(x, billed, _size(x))
        self.calls += 1

    def settle(self) -> None:
        """Draw the conclusions from what was learned since the last time."""
        self._fit = self._reach = None

    def _expected(self, x: Sequence[float]) -> tuple[float, float]:
        return max(self.fit.expected(x), 0.0), self.fit.deviation(x, _size(x))

    def _measured_reach(self) -> tuple[float, float]:
        """How many deviations the interval goes down and up."""
        count = len(self.scores)
        if count < _FEWEST_SCORES:
            reach = t_quantile(self.fit.freedom)
            return -reach, reach
        ordered, beyond = sorted(self.scores), (count + 1) // _ONE_IN
        return ordered[beyond - 1], ordered[count - beyond]


def prior_of(family: Family) -> Prior:
    """What is believed of a model before its first call."""
    if family.is_exact:
        weights = [_OWN_DEFINITIONS if name == DEFINITIONS else _OWN for name in CLASSES]
    else:
        weights = [(ratio.usual, ratio.spread) for ratio in map(RATIOS.__getitem__, CLASSES)]
    weights += [_PER_MESSAGE, _PER_CALL]
    error = _ERROR if family.is_exact else _ERROR_OF_ANOTHER
    return Prior(tuple(mean for mean, _ in weights), tuple(spread for _, spread in weights), error)


@lru_cache(maxsize=64)
def _untaught(family: Family) -> Fit:
    return fit(prior_of(family), Sums.nothing(WIDTH))


def row_of(makeup: Makeup) -> list[float]:
    """The makeup as the regression takes it: tokens by class, messages, and the call itself."""
    return [*(makeup.tokens.get(name, 0) for name in CLASSES), makeup.messages, 1 if makeup.messages else 0]


def _size(x: Sequence[float]) -> float:
    return sum(x) + _FLOOR
