"""How large a call can become, from its request alone: the answer's cap, the limits of its use, and what that may cost.

The gateway sizes its holds here, and estimates state the same figure as the worst case: one path, so that nobody is
told less than what is set aside. Pure; the caller looks the price rows up.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from metering.bounds import Bound, CallFacts, output_cap, upper_bound
from metering.call_facts import chat_facts, embedding_facts, speech_facts
from metering.errors import UnpriceableCall
from metering.metered.calls import CallMeters
from metering.price_book import BookPrice
from metering.prices import PriceCard

CHAT, EMBEDDING, SPEECH = "chat", "embedding", "speech"
_BYTES_PER_TOKEN = 3  # of a prompt, for its likely length


class Priced(msgspec.Struct, frozen=True):
    """A model that may serve the call: the name asked for, and its price."""

    name: str
    price: BookPrice | None

    @property
    def is_free(self) -> bool:
        """Whether every price that can apply is zero."""
        return self.price is not None and self.price.is_free

    @property
    def names(self) -> set[str]:
        """The name asked for, and the model's id."""
        return {self.name} if self.price is None else {self.name, self.price.model.id}


class Sized(msgspec.Struct, frozen=True):
    """The longest answer in tokens (None where there is none), the limits of use, and the bound of the charge."""

    output_cap: int | None
    facts: CallFacts
    bound: Bound


class CallShape(msgspec.Struct, frozen=True, kw_only=True):
    """A request: the decoded ``data`` of ``raw``, and all ``models`` that may serve it.

    ``kind`` is CHAT, EMBEDDING or SPEECH, ``asked_output`` the length that the client names, ``default_output`` what is
    taken when it names none (tokens). ``meters``: those that take credit for the call, if any.
    """

    kind: str
    data: Mapping[str, Any]
    raw: bytes
    models: Sequence[Priced]
    asked_output: int | None
    default_output: int
    meters: CallMeters | None = None


def size_call(shape: CallShape, components: Sequence[Mapping[str, Any]], at: datetime) -> Sized:
    """The most that the call can use and be charged under a tier's price ``components`` at ``at`` (UTC).

    Raises UnpriceableCall when no finite bound exists, InvalidRequest and InvalidPrice for members of the wrong shape.
    """
    context = largest_context(shape.models) if shape.kind == CHAT else None
    cap = _longest_answer(shape, context) if shape.kind == CHAT else None
    facts = _facts(shape, cap or 0, context)
    return Sized(cap, facts, bound_of(facts, shape.models, components, at, shape.meters))


def bound_of(
    facts: CallFacts,
    models: Sequence[Priced],
    components: Sequence[Mapping[str, Any]],
    at: datetime,
    meters: CallMeters | None = None,
) -> Bound:
    """What use within ``facts`` may be charged, whichever of ``models`` serves it. Raises UnpriceableCall."""
    bound = upper_bound(facts, _cards(models), components, at)
    if meters is None:
        return bound
    metered = meters.most(facts, bound)
    return replace(bound, amount=bound.amount + metered, metered=metered)


def affordable_answer(
    sized: Sized,
    models: Sequence[Priced],
    components: Sequence[Mapping[str, Any]],
    at: datetime,
    available: Decimal,
    meters: CallMeters | None = None,
) -> int | None:
    """The longest answer in tokens that ``available`` USD can pay, at most the cap; None when not even one token."""
    longest = sized.output_cap
    if longest is None:
        return None

    def most(cap: int) -> Decimal:
        return bound_of(replace(sized.facts, completion_tokens=cap), models, components, at, meters).amount

    least, whole = most(1), sized.bound.amount
    if least > available:
        return None
    if whole <= least:
        return longest
    cap = min(1 + int((longest - 1) * (available - least) / (whole - least)), longest)
    while cap > 1 and most(cap) > available:
        cap -= max(cap // 50, 1)
    return cap


def _longest_answer(shape: CallShape, context: int | None) -> int:
    """The cap of one answer in tokens: what was asked for, else the default, within what every model can do."""
    maxima = [each.price.model.max_completion_tokens for each in shape.models if each.price is not None]
    return output_cap(
        asked=shape.asked_output,
        default=shape.default_output,
        model_max=_largest(maxima),
        context_length=context,
        prompt_tokens=len(shape.raw) // _BYTES_PER_TOKEN if shape.asked_output is None else 0,
    )


def largest_context(models: Sequence[Priced]) -> int | None:
    """The largest context among the models; None as soon as one is unknown."""
    return _largest([each.price.model.context_length for each in models if each.price is not None])


def _largest(figures: Sequence[int | None]) -> int | None:
    return max(filter(None, figures)) if figures and all(figures) else None


def _facts(shape: CallShape, cap: int, context: int | None) -> CallFacts:
    names = [each.name for each in shape.models]
    if shape.kind == SPEECH:
        return speech_facts(shape.data)
    if shape.kind == EMBEDDING:
        return embedding_facts(shape.data, shape.raw, models=names)
    return chat_facts(shape.data, shape.raw, models=names, completion_cap=cap, context_length=context)


def _cards(models: Sequence[Priced]) -> list[PriceCard]:
    cards = []
    for each in models:
        if each.price is None:
            raise UnpriceableCall(f"No price is known for {each.name}.", model=each.name)
        cards.append(each.price.card)
    return cards
