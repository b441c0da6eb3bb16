"""One question to a model, asked by Farebox itself; customers' calls go through the gateway."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.money import quantize
from openrouter.client.errors import ProviderAnswerInvalid, ProviderNotConfigured
from openrouter.client.transport import Transport
from openrouter.upstreams import Upstream


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: roles and texts, and the longest answer in tokens."""

    model: str
    messages: list[dict[str, str]]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """``cost`` is what the provider billed, USD; None where it did not say. ``is_cut``: at the longest answer."""

    text: str
    model: str
    generation_id: str
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal | None
    is_cut: bool


def ask_model(upstream: Upstream, question: Question) -> Answer:
    """Ask once, with the account's shared key. Raises ProviderError."""
    if not upstream.can_be_asked:
        raise ProviderNotConfigured(f"The provider account for {upstream.name} keys has no key for calls.")
    body = {"model": question.model, "messages": question.messages, "max_tokens": question.max_tokens}
    return _read(Transport(upstream.base_url, upstream.api_key).write("POST", "/chat/completions", body))


def _read(document: Any) -> Answer:
    try:
        choice, usage = document["choices"][0], document.get("usage") or {}
        return Answer(
            text=str(choice["message"]["content"] or ""),
            model=str(document["model"]),
            generation_id=str(document.get("id") or ""),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            cost=_cost(usage.get("cost")),
            is_cut=choice.get("finish_reason") == "length",
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ProviderAnswerInvalid("The answer holds no text of a model.") from None


def _cost(value: Any) -> Decimal | None:
    """Numbers come as Decimals."""
    is_number = isinstance(value, Decimal | int) and not isinstance(value, bool) and Decimal(value).is_finite()
    return quantize(Decimal(value)) if is_number and value >= 0 else None
