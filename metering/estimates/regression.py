"""How many tokens a model makes of each class, learned call by call. Pure; floats, for no money is counted here.

The provider's count of a prompt is taken to be ``y = x·β + ε·s``: ``x`` are the tokens of each class in our vocabulary,
the messages and a one, ``β`` the model's tokens for each of them, ``s`` the prompt's size, so that errors grow with it.
This is Bayesian linear regression with its conjugate prior (normal for β, inverse gamma for the errors' variance): see
Bishop, Pattern Recognition and Machine Learning, section 3.3 and exercise 3.12. The sums below are all that it needs of
the past; with none, β is the prior, and with every call it moves towards what the provider bills.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt

Vector = Sequence[float]
Matrix = list[list[float]]

_WORTH = 4.0  # calls, that what is believed before the first one weighs
# Old calls fade, so that a changed vocabulary is followed: about so many of the latest calls decide.
REMEMBERED = 4_000


@dataclass(frozen=True, slots=True)
class Prior:
    """Expected weights and, for each, how far models scatter around it (a standard deviation); the usual ``error`` of a
    call, as a share of its prompt."""

    means: tuple[float, ...]
    spreads: tuple[float, ...]
    error: float


@dataclass(slots=True)
class Sums:
    """What was learned: ``XᵀX`` (upper triangle by rows), ``Xᵀy``, ``yᵀy``, all scaled by size; of how many calls."""

    xx: list[float]
    xy: list[float]
    yy: float = 0.0
    calls: float = 0.0

    @classmethod
    def nothing(cls, width: int) -> "Sums":
        """Before the first call."""
        return cls([0.0] * (width * (width + 1) // 2), [0.0] * width)

    def add(self, x: Vector, y: float, scale: float) -> None:
        """One call: ``y`` tokens were billed for ``x``, whose size is ``scale``."""
        x, y = [value / scale for value in x], y / scale
        keep = 1 - 1 / REMEMBERED
        place = 0
        for row, left in enumerate(x):
            self.xy[row] = self.xy[row] * keep + left * y
            for right in x[row:]:
                self.xx[place] = self.xx[place] * keep + left * right
                place += 1
        self.yy = self.yy * keep + y * y
        self.calls = self.calls * keep + 1


@dataclass(frozen=True, slots=True)
class Fit:
    """What is believed of the weights: their means and covariance, in units of the error's variance."""

    weights: tuple[float, ...]
    covariance: Matrix = field(repr=False)
    variance: float  # of the error, relative to a prompt's size
    freedom: float  # of Student's t, which the next prompt's error follows

    def expected(self, x: Vector) -> float:
        """The likely count."""
        return _dot(self.weights, x)

    def deviation(self, x: Vector, scale: float) -> float:
        """How far off that may be: from the errors of single calls, and from what is not yet known of the weights."""
        doubt = sum(left * _dot(row, x) for left, row in zip(x, self.covariance, strict=True))
        return sqrt(self.variance * (scale * scale + max(doubt, 0.0)))

    def spread_of(self, place: int) -> float:
        """How far off one weight may be (a standard deviation)."""
        return sqrt(self.variance * self.covariance[place][place])


def fit(prior: Prior, sums: Sums) -> Fit:
    """The weights after ``sums``."""
    variance = prior.error**2
    trust = [variance / spread**2 for spread in prior.spreads]
    precision = _square(sums.xx, len(trust))
    for place, value in enumerate(trust):
        precision[place][place] += value
    covariance = _inverse(precision)
    known = [xy + value * mean for xy, value, mean in zip(sums.xy, trust, prior.means, strict=True)]
    weights = tuple(_dot(row, known) for row in covariance)
    before = sum(value * mean * mean for value, mean in zip(trust, prior.means, strict=True))
    unexplained = max(sums.yy + before - _dot(weights, known), 0.0)
    freedom = _WORTH + sums.calls
    return Fit(weights, covariance, (_WORTH * variance + unexplained) / freedom, freedom)


def t_quantile(freedom: float) -> float:
    """The point that Student's t exceeds once in twenty times (Abramowitz and Stegun 26.7.5, two terms)."""
    z = 1.6448536
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _dot(left: Iterable[float], right: Iterable[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _square(upper: Vector, width: int) -> Matrix:
    matrix = [[0.0] * width for _ in range(width)]
    values = iter(upper)
    for row in range(width):
        for column in range(row, width):
            matrix[row][column] = matrix[column][row] = next(values)
    return matrix


def _inverse(matrix: Matrix) -> Matrix:
    """Of a symmetric positive matrix, by Gauss and Jordan with the largest pivot; ten by ten at most."""
    width = len(matrix)
    rows = [[*row, *(1.0 if place == each else 0.0 for each in range(width))] for place, row in enumerate(matrix)]
    for column in range(width):
        pivot = max(range(column, width), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [value / head for value in rows[column]]
        for row in range(width):
            if row != column and (factor := rows[row][column]):
                rows[row] = [value - factor * own for value, own in zip(rows[row], rows[column], strict=True)]
    return [row[width:] for row in rows]
