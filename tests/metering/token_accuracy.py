"""How far stand-in counts are from a vocabulary's own, over the sixty-one texts."""

from collections.abc import Callable
from fractions import Fraction

from metering.tokens import UNKNOWN, Family, count_tokens
from tests.metering.texts import TEXTS

LONG_ENOUGH = 20  # characters; shorter texts say more about rounding than about counting
STAND_INS: dict[str, Callable[[str], int]] = {
    "characters / 4": lambda text: -(-len(text) // 4),
    "o200k_base": lambda text: count_tokens(Family("o200k_base", True), text),
    "o200k_base * 1.15": lambda text: count_tokens(UNKNOWN, text),
}


def errors(stand_in: str, vocabulary: str) -> list[Fraction]:
    """The relative error of each text; negative is too few."""
    count = STAND_INS[stand_in]
    texts = [text for text, *_ in TEXTS if len(text) >= LONG_ENOUGH]
    real = {text: count_tokens(Family(vocabulary, True), text) for text in texts}
    return [Fraction(count(text), real[text]) - 1 for text in texts]


def row(stand_in: str, vocabulary: str) -> str:
    """A line of the table in docs/rating.md: mean error, share within a tenth, worst undercount."""
    found = errors(stand_in, vocabulary)
    mean = sum(map(abs, found)) / len(found)
    within = Fraction(sum(abs(error) <= Fraction(1, 10) for error in found), len(found))
    return f"| {stand_in} | {vocabulary} | {float(mean):.0%} | {float(within):.0%} | {float(min(found)):.0%} |"
