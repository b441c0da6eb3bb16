"""Models that could do the work of another: by what they take and give, their context and abilities, and their price.

How good their answers are, no count can tell. A model far cheaper than the one in use is most likely a much weaker one,
so what costs less than a tenth is left out, of the same author what costs less than a twenty-fifth. Variants of a model
(``:batch``, ``:free``, ``:thinking`` …) are another service, not another model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from metering.models import LanguageModel
from metering.price_book import BookPrice, card_for
from tiers.terms import TierTerms

MOST = 3  # candidates that are replayed exactly, beside the author's own
_DEAREST = Decimal("0.8")  # of what the model in use costs
_CHEAPEST, _CHEAPEST_OF_AUTHOR = Decimal("0.1"), Decimal("0.04")
_ABILITIES = frozenset({"tools", "tool_choice", "response_format", "structured_outputs"})
_FREE = ":free"


@dataclass(frozen=True, slots=True)
class Work:
    """What a model was used for: sums over all calls, and the longest of them, in tokens."""

    model: str
    events: int
    prompt_tokens: int
    completion_tokens: int
    longest: int  # prompt and answer of one call
    longest_answer: int


def free_variant(work: Work, terms: TierTerms, at: datetime) -> str | None:
    """The same model at no price, where the provider lists one and the tier includes it."""
    name = f"{work.model}{_FREE}"
    price = card_for(name, at)
    if price is None or price.model.id != name or not price.is_free or not price.model.is_listed:
        return None
    return name if terms.may_use_model(name, is_free=True) and _holds(price, work) else None


def cheaper_models(
    work: Work, catalogue: Mapping[str, LanguageModel], terms: TierTerms, at: datetime
) -> list[BookPrice]:
    """The cheapest fitting model of the same author and of up to MOST others, by their list prices."""
    own, price = catalogue.get(work.model), card_for(work.model, at)
    if own is None or price is None or price.card.is_dynamic() or price.is_free:
        return []
    whole = _rough(price, work)
    found: dict[str, BookPrice] = {}
    for model in catalogue.values():
        other = _usable(model, own, terms, at)
        if other is None or not _holds(other, work):
            continue
        cost, author = _rough(other, work), _author(model.id)
        least = _CHEAPEST_OF_AUTHOR if author == _author(own.id) else _CHEAPEST
        if least * whole <= cost <= _DEAREST * whole and (author not in found or cost < _rough(found[author], work)):
            found[author] = other
    same = [found.pop(_author(own.id))] if _author(own.id) in found else []
    return same + sorted(found.values(), key=lambda each: (_rough(each, work), each.model.id))[:MOST]


def _usable(model: LanguageModel, own: LanguageModel, terms: TierTerms, at: datetime) -> BookPrice | None:
    if model.id == own.id or ":" in model.id or not _fits(model, own):
        return None
    price = card_for(model.id, at)
    if price is None or price.is_free or price.card.is_dynamic():
        return None
    return price if terms.may_use_model(model.id, is_free=False) else None


def _fits(model: LanguageModel, own: LanguageModel) -> bool:
    takes = _all(own.input_modalities) <= _all(model.input_modalities)
    gives = _all(own.output_modalities) <= _all(model.output_modalities)
    can = _ABILITIES & set(own.supported_parameters) <= set(model.supported_parameters)
    return takes and gives and can


def _all(modalities: Iterable[str]) -> set[str]:
    return set(modalities) or {"text"}


def _holds(price: BookPrice, work: Work) -> bool:
    """Whether the longest call would have fitted."""
    context, answer = price.model.context_length, price.model.max_completion_tokens
    return (context is None or context >= work.longest) and (answer is None or answer >= work.longest_answer)


def _rough(price: BookPrice, work: Work) -> Decimal:
    prices = price.card.prices
    return prices["prompt"] * work.prompt_tokens + prices["completion"] * work.completion_tokens


def _author(model_id: str) -> str:
    return model_id.partition("/")[0]
