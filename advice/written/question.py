"""What the model is asked, bounded in length by what the figures are bounded by."""

import unicodedata
from typing import Any

from django.conf import settings

from core.jsonio import dumps_text
from openrouter.client import Question

LONGEST_ANSWER = 700  # tokens
LONGEST_TEXT = 6_000  # characters that are kept
_TASK = (
    "You advise a company on what it spends on language models. You are given sums of its usage of thirty days as "
    "JSON; amounts are US dollars, findings are ways to spend less that were computed from every single call. Write "
    "plain text without any markup, at most 250 words. First say what the money goes to, then name up to five steps, "
    "the greatest saving first, each with the figures it rests on. Use no figure that is not given or follows from "
    "those given. Savings of several findings for the same model do not add up. Say plainly what sums cannot tell, "
    "such as how good another model's answers are. Where nothing is worth doing, say so."
)


def question_of(figures: dict[str, Any]) -> Question:
    """The task and the figures, nothing else."""
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": dumps_text(figures)}]
    return Question(settings.ADVICE_MODEL, messages, LONGEST_ANSWER)


def readable_text(text: str, *, is_cut: bool) -> str:
    """What is kept of an answer: no control characters but line breaks, not longer than LONGEST_TEXT."""
    kept = "".join(each for each in text if each == "\n" or unicodedata.category(each) not in ("Cc", "Cf", "Cs"))
    kept = kept.strip()
    return f"{kept[:LONGEST_TEXT]} …" if kept and (is_cut or len(kept) > LONGEST_TEXT) else kept
