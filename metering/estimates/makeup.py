"""A prompt in figures: how many tokens of which class it has in one vocabulary, and how many messages. Never its text.

Estimates are computed from this alone, so that what was learned from recorded calls is what estimates use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core import jsonio
from metering.estimates.content import DEFINITIONS, base_class, runs_of
from metering.prompt_size import prompt_texts, utf8_size
from metering.tokens import Family, count_tokens

# Longer texts are counted so far, and the rest taken to be like it.
_COUNTED_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Makeup:
    """Tokens by class in ``vocabulary``, and the number of messages; the classes add up to the whole count."""

    vocabulary: str
    tokens: Mapping[str, int] = field(default_factory=dict)
    messages: int = 0

    @property
    def total(self) -> int:
        """All tokens of the texts, without what a chat template adds."""
        return sum(self.tokens.values())

    @property
    def main_class(self) -> str:
        """The class of most tokens."""
        return max(self.tokens, key=lambda name: self.tokens[name], default="prose")

    def facts(self) -> dict[str, Any]:
        """As it is kept with a call."""
        return {"vocabulary": self.vocabulary, "tokens": dict(self.tokens), "messages": self.messages}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Makeup":
        """What :meth:`facts` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        tokens = {str(name): int(count) for name, count in dict(facts["tokens"]).items()}
        return cls(str(facts["vocabulary"]), tokens, int(facts["messages"]))


class Prompt:
    """The countable part of a request; each vocabulary counts it once."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._texts = [(text, base_class(text)) for text in prompt_texts(data) if text]
        self._definitions = _definitions_of(data)
        messages = data.get("messages")
        self._messages = len(messages) if isinstance(messages, list) else 0
        self._makeups: dict[str, Makeup] = {}

    def makeup(self, vocabulary: str) -> Makeup:
        """The prompt's figures in one of the vocabularies that we hold."""
        if vocabulary not in self._makeups:
            self._makeups[vocabulary] = self._count(Family(vocabulary, is_exact=True))
        return self._makeups[vocabulary]

    def _count(self, family: Family) -> Makeup:
        tokens: dict[str, int] = {}
        for text, base in self._texts:
            for name, count in _classes_of(family, text, base):
                tokens[name] = tokens.get(name, 0) + count
        if self._definitions:
            tokens[DEFINITIONS] = sum(_count(family, text) for text in self._definitions)
        return Makeup(family.vocabulary, tokens, self._messages)


def _definitions_of(data: Mapping[str, Any]) -> list[str]:
    """What is sent along with the texts and read by the model too."""
    names = ("tools", "functions", "response_format")
    return [jsonio.dumps(data[name]).decode() for name in names if data.get(name)]


def _classes_of(family: Family, text: str, base: str) -> Sequence[tuple[str, int]]:
    """The tokens of one text by class. What stands out is counted by itself; the rest of the whole is of ``base``."""
    whole = _count(family, text)
    parts = {name: _count_runs(family, runs) for name, runs in runs_of(text).items()}
    apart = sum(parts.values())
    if apart > whole:  # counted apart they are more than in their text
        parts = {name: count * whole // apart for name, count in parts.items()}
        apart = sum(parts.values())
    return [*parts.items(), (base, whole - apart)] if whole > apart else list(parts.items())


def _count_runs(family: Family, runs: list[str]) -> int:
    return max(_count(family, "\n".join(runs)) - (len(runs) - 1), 0)


def _count(family: Family, text: str) -> int:
    """Tokens of ``text``; beyond a size, of its beginning and in proportion."""
    if len(text) <= _COUNTED_CHARACTERS:
        return count_tokens(family, text)
    beginning = text[:_COUNTED_CHARACTERS]
    return -(-count_tokens(family, beginning) * utf8_size(text) // max(utf8_size(beginning), 1))
