"""What kind of text a prompt is: how far two vocabularies differ depends on that more than on anything else."""

import re
from typing import NamedTuple

PROSE, CODE, DATA, OTHER_SCRIPTS = "prose", "code", "data", "other-scripts"
CLASSES = (PROSE, CODE, DATA, OTHER_SCRIPTS)

_LOOKED_AT = 4_000  # characters of each text; what stands there stands for the rest
_LAST_LATIN = "\u024f"
_FOREIGN_SHARE = 0.2
_DATA_SHARE = 0.3
_CODE_SHARE = 0.2
_MARKS = re.compile(r"[0-9{}\[\]\":,|\\]")
_CODE_LINE = re.compile(
    r"^\s{2,}\S|[;{}]\s*$|^\s*(def|class|import|from|return|if|for|while|SELECT|#include|//|/\*|<\w)\b"
)


class Ratio(NamedTuple):
    """Tokens of a model for 100 tokens of a vocabulary that is not its own: usual, and exceeded once in twenty."""

    likely: int
    p95: int


# Measured between o200k and nine other vocabularies on text of each class (docs/estimates.md).
RATIOS = {PROSE: Ratio(103, 115), CODE: Ratio(106, 125), DATA: Ratio(112, 148), OTHER_SCRIPTS: Ratio(115, 240)}


def content_class(text: str) -> str:
    """The class of a text, by a look at its beginning."""
    sample = text[:_LOOKED_AT]
    size = len(sample)
    if not size:
        return PROSE
    if sum(char > _LAST_LATIN for char in sample) > _FOREIGN_SHARE * size:
        return OTHER_SCRIPTS
    if len(_MARKS.findall(sample)) > _DATA_SHARE * size or sample.lstrip()[:2] in ('{"', "[{", "{\n", "[\n"):
        return DATA
    lines = [line for line in sample.splitlines() if line.strip()]
    coded = sum(bool(_CODE_LINE.search(line)) for line in lines)
    return CODE if lines and coded > _CODE_SHARE * len(lines) else PROSE
