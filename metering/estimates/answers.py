"""How long an answer will be: as the caller says, else as answers of the model were, else a guess.

Lengths are kept as a histogram whose bins grow by a tenth (as in DDSketch, Masson et al. 2019): any quantile of it is
within five per cent of the true one, it never grows beyond some hundred numbers, and two of them add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log
from uuid import UUID

from metering.estimates.models import AnswerLength as Bin

GIVEN, HISTORY, MODEL, ASSUMED, NONE = "given", "history", "model", "assumed", "none"

GROWTH = 1.1
# Without any knowledge of the task: a paragraph or two.
_ASSUMED, _ASSUMED_P95 = 300, 1_200
_FEWEST_CALLS, _FEWEST_OF_ALL = 5, 50
# Fewer answers than this do not say what one in twenty exceeds. Lengths scatter about as widely as waiting times do:
# then one in twenty is longer than three times the mean.
_FEWEST_FOR_P95 = 19
_P95_OF_MEAN = 3


@dataclass(frozen=True, slots=True)
class AnswerLength:
    """Tokens of one answer: likely (the median), and exceeded once in twenty times. ``basis`` says how it is known."""

    likely: int
    p95: int
    basis: str
    calls: int = 0

    def within(self, cap: int) -> "AnswerLength":
        """The same where no answer is longer than ``cap``."""
        return AnswerLength(min(self.likely, cap), min(self.p95, cap), self.basis, self.calls)


_GUESS = AnswerLength(_ASSUMED, _ASSUMED_P95, ASSUMED)


def answer_length(organization_id: UUID, model_id: str, *, cap: int | None, expected: int | None) -> AnswerLength:
    """The length of an answer within ``cap`` tokens (None: there is none); ``expected`` is the caller's own word."""
    if cap is None:
        return AnswerLength(0, 0, NONE)
    if expected is not None:
        return AnswerLength(min(expected, cap), min(expected, cap), GIVEN)
    return usual_length(organization_id, model_id).within(cap)


def usual_length(organization_id: UUID, model_id: str) -> AnswerLength:
    """As the organization's own answers of the model were; as everybody's, where it has too few; else a guess."""
    own, everybodys = Bin.objects.filter(organization_id=organization_id), Bin.objects.filter(organization=None)
    for found, basis, fewest in ((own, HISTORY, _FEWEST_CALLS), (everybodys, MODEL, _FEWEST_OF_ALL)):
        bins = dict(found.filter(model=model_id).values_list("bin", "weight"))
        if sum(bins.values()) >= fewest:
            return length_of(bins, basis)
    return _GUESS


def length_of(bins: Mapping[int, float], basis: str) -> AnswerLength:
    """Median and the length that one in twenty exceeds, of a histogram that is not empty.

    The latter at rank (n + 1) · 0.95, so that it holds for the next answer and not only for those that were.
    """
    ordered, total = sorted(bins.items()), sum(bins.values())
    likely = max(round(GROWTH ** (_at_rank(ordered, total / 2) - 0.5)), 1)
    if total >= _FEWEST_FOR_P95:
        p95 = floor(GROWTH ** _at_rank(ordered, 0.95 * (total + 1)))
    else:
        mean = sum(weight * GROWTH ** (place - 0.5) for place, weight in ordered) / total
        p95 = max(ceil(_P95_OF_MEAN * mean), floor(GROWTH ** ordered[-1][0]))
    return AnswerLength(likely, max(p95, likely), basis, round(total))


def bin_of(tokens: int) -> int:
    """The bin of a length of one or more tokens."""
    return ceil(log(tokens) / log(GROWTH) - 1e-9)


def _at_rank(ordered: Sequence[tuple[int, float]], rank: float) -> int:
    seen = 0.0
    for place, weight in ordered:
        seen += weight
        if seen >= rank - 1e-9:
            return place
    return ordered[-1][0]
