"""What a prompt is made of: how far two vocabularies differ depends on that more than on anything else.

A text is of one class as a whole (prose, code or data), apart from what stands out of any text: other scripts, runs of
digits, emoji. Definitions of tools are a class of their own: each provider renders them in its own way.
"""

import re
from typing import NamedTuple

PROSE, CODE, DATA = "prose", "code", "data"
OTHER_SCRIPTS, CJK, DIGITS, EMOJI = "other-scripts", "cjk", "digits", "emoji"
DEFINITIONS = "definitions"
CLASSES = (PROSE, CODE, DATA, OTHER_SCRIPTS, CJK, DIGITS, EMOJI, DEFINITIONS)

_LOOKED_AT = 2_000  # characters of a text; what stands there stands for the rest
_DATA_SHARE = 0.3
_CODE_SHARE = 0.2
_MARKS = re.compile(r"[0-9{}\[\]\":,|\\]")
_CODE_LINE = re.compile(
    r"^(?:[ \t]{2,}\S|[ \t]*(?:def|class|import|from|return|if|for|while|SELECT|#include|//|/\*|<\w)\b|.*[;{}][ \t]*$)",
    re.MULTILINE,
)
_LINE = re.compile(r"^.*\S", re.MULTILINE)
# Ranges of characters. Marks such as curly quotes, dashes and currency signs stay with the text around them.
_CJK = "\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_EMOJI = "\u200d\u2190-\u2bff\ufe0e\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f"
_OTHERS = "\u0250-\u10ff\u1200-\u1fff\u2c00-\u2dff\ua4d0-\uabff\ufb00-\ufdff\ufe20-\ufeff\U00010000-\U0001efff"
_DIGIT_RUN = re.compile(r"[0-9]{2,}")
_CJK_RUN = re.compile(f"[{_CJK}]+")
_EMOJI_RUN = re.compile(f"[{_EMOJI}]+")
# Words of a script stay together with the blanks between them, which belong to their tokens.
_OTHER_RUN = re.compile(f" ?[{_OTHERS}]+(?:[ ,.;:!?-]{{1,2}}[{_OTHERS}]+)*")


class Ratio(NamedTuple):
    """Tokens of a model for 100 tokens of a vocabulary that is not its own: usual, and how far models scatter (one
    standard deviation)."""

    usual: float
    spread: float


# Where nothing has been learned yet: measured between o200k and other vocabularies on text of each class
# (docs/estimates.md). Of a model whose vocabulary is held, the count itself is right but for how the text is joined.
RATIOS = {
    PROSE: Ratio(1.03, 0.07),
    CODE: Ratio(1.07, 0.12),
    DATA: Ratio(1.08, 0.15),
    OTHER_SCRIPTS: Ratio(1.25, 0.45),
    CJK: Ratio(1.05, 0.25),
    DIGITS: Ratio(1.6, 0.7),
    EMOJI: Ratio(1.25, 0.4),
    DEFINITIONS: Ratio(1.05, 0.3),
}


def base_class(text: str) -> str:
    """The class of a text as a whole, by a look at its beginning: prose, code or data."""
    sample = text[:_LOOKED_AT]
    if not sample:
        return PROSE
    if len(_MARKS.findall(sample)) > _DATA_SHARE * len(sample) or sample.lstrip()[:2] in ('{"', "[{", "{\n", "[\n"):
        return DATA
    lines = len(_LINE.findall(sample))
    return CODE if lines and len(_CODE_LINE.findall(sample)) > _CODE_SHARE * lines else PROSE


def runs_of(text: str) -> dict[str, list[str]]:
    """What stands out of a text, by class: runs of digits, of other scripts, of emoji."""
    found = {DIGITS: _DIGIT_RUN.findall(text)}
    if not text.isascii():
        found[CJK] = _CJK_RUN.findall(text)
        found[EMOJI] = _EMOJI_RUN.findall(text)
        found[OTHER_SCRIPTS] = _OTHER_RUN.findall(text)
    return {name: runs for name, runs in found.items() if runs}


def content_class(text: str) -> str:
    """The class of most of a text."""
    runs = {name: sum(map(len, found)) for name, found in runs_of(text[:_LOOKED_AT]).items()}
    largest = max(runs, key=lambda name: runs[name], default="")
    return largest if largest and 2 * runs[largest] > len(text[:_LOOKED_AT]) else base_class(text)
