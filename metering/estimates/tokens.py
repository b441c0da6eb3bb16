"""How many tokens a prompt will be: counted where the model's vocabulary is known, else by a measured ratio.

The ratios of :mod:`metering.estimates.content` are for every model without a vocabulary of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core import jsonio
from metering.estimates.content import RATIOS, content_class
from metering.prompt_size import prompt_texts, utf8_size
from metering.tokens import Family, count_tokens, family_of

VOCABULARY, RATIO = "vocabulary", "ratio"

# What a chat template puts around each message, and before the answer.
_PER_MESSAGE, _PER_MESSAGE_P95 = 4, 8
_PER_ANSWER, _PER_ANSWER_P95 = 3, 16
# Longer texts are counted so far, and the rest taken to be like it.
_COUNTED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class TokenCount:
    """``likely`` tokens, and a count that is exceeded once in twenty times. ``basis`` is VOCABULARY or RATIO.

    ``content`` is the class of most of the text.
    """

    likely: int
    p95: int
    basis: str
    vocabulary: str
    content: str


class Prompt:
    """The countable part of a request; each vocabulary counts it once."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._texts = [(text, content_class(text)) for text in _texts_of(data)]
        messages = data.get("messages")
        self._messages = len(messages) if isinstance(messages, list) else 0
        self._counts: dict[str, list[int]] = {}

    def tokens(self, family: Family) -> TokenCount:
        """The prompt's tokens for models of ``family``."""
        counts = self._counted(family.vocabulary)
        likely = p95 = 0
        for (_, content), count in zip(self._texts, counts, strict=True):
            ratio = None if family.is_exact else RATIOS[content]
            likely += count if ratio is None else -(-count * ratio.likely // 100)
            p95 += count if ratio is None else -(-count * ratio.p95 // 100)
        return TokenCount(
            likely=likely + self._messages * _PER_MESSAGE + (_PER_ANSWER if self._messages else 0),
            p95=p95 + self._messages * _PER_MESSAGE_P95 + (_PER_ANSWER_P95 if self._messages else 0),
            basis=VOCABULARY if family.is_exact else RATIO,
            vocabulary=family.vocabulary,
            content=self._class(counts),
        )

    def tokens_of(self, model_id: str) -> TokenCount:
        """The same for a model by its id."""
        return self.tokens(family_of(model_id))

    def _counted(self, vocabulary: str) -> list[int]:
        if vocabulary not in self._counts:
            exact = Family(vocabulary, is_exact=True)
            self._counts[vocabulary] = [_count(exact, text) for text, _ in self._texts]
        return self._counts[vocabulary]

    def _class(self, counts: Iterable[int]) -> str:
        weights: dict[str, int] = {}
        for (_, content), count in zip(self._texts, counts, strict=True):
            weights[content] = weights.get(content, 0) + count
        return max(weights, key=lambda content: weights[content], default="prose")


def _count(family: Family, text: str) -> int:
    """Tokens of ``text``; beyond a size, of its beginning and in proportion."""
    if len(text) <= _COUNTED_BYTES // 4:
        return count_tokens(family, text)
    beginning = text[: _COUNTED_BYTES // 4]
    return -(-count_tokens(family, beginning) * utf8_size(text) // max(utf8_size(beginning), 1))


def _texts_of(data: Mapping[str, Any]) -> list[str]:
    """The prompt's texts and the definitions that are sent along with it."""
    texts = prompt_texts(data)
    for name in ("tools", "functions", "response_format"):
        if data.get(name):
            texts.append(jsonio.dumps(data[name]).decode())
    return texts
