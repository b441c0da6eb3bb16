"""How long a prompt is, for budgets that name a longest one."""

from collections.abc import Mapping
from typing import Any

from metering.prompt_size import prompt_texts
from metering.tokens import count_tokens, family_of

_PER_MESSAGE = 4  # what a chat template puts around each


def prompt_tokens(data: Mapping[str, Any], model: str) -> int:
    """Tokens of a request's texts in the model's vocabulary, or in the one most like it."""
    family = family_of(model)
    messages = data.get("messages")
    around = _PER_MESSAGE * len(messages) if isinstance(messages, list) else 0
    return around + sum(count_tokens(family, text) for text in prompt_texts(data))
