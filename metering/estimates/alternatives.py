"""Cheaper models that could serve the same request: fitting by what goes in and out, by context, tier and key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.principal import Principal
from core.money import ZERO
from metering.bounds import CallFacts
from metering.errors import UnpriceableCall
from metering.estimates.calibration import Calibration
from metering.estimates.learning import learned_of
from metering.estimates.makeup import Prompt
from metering.estimates.pricing import cost_of, expected_usage
from metering.price_book import BookModel, BookPrice, card_for, listed_models
from metering.tokens import UNKNOWN, family_of
from tiers.terms import TierTerms

MOST = 5
_STAND_IN = Calibration(UNKNOWN)
_TRIED = 40  # of the cheapest by their base prices, these are priced exactly


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model and the likely charge with it, USD; ``saving`` against the model asked for."""

    model: BookModel
    charge: Decimal
    saving: Decimal
    is_free: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """The call as it was asked for. ``charge`` is its likely one, ``answer_tokens`` its likely answer.

    ``metered`` of the charge is taken by meters, and by whatever model just as much.
    """

    data: Mapping[str, Any]
    prompt: Prompt
    facts: CallFacts
    price: BookPrice
    charge: Decimal
    answer_tokens: int
    metered: Decimal = ZERO


def cheaper_models(wanted: Wanted, principal: Principal, terms: TierTerms, at: datetime) -> list[Alternative]:
    """At most MOST models with a lower likely charge, each of another author, the greatest saving first.

    Prompts are counted with one stand-in vocabulary for all of them (loading each model's own would cost more than the
    difference tells), corrected by what was learned of the model.
    """
    makeup = wanted.prompt.makeup(UNKNOWN.vocabulary)
    usual = _STAND_IN.count(makeup).likely
    tried = _cheapest_first(wanted, usual, principal, terms, at)[:_TRIED]
    learned = _learned_of(tried)
    found: dict[str, Alternative] = {}
    for price in tried:
        own = learned.get(price.model.id)
        usage = expected_usage(wanted.facts, own.count(makeup).likely if own else usual, wanted.answer_tokens)
        try:
            cost = cost_of(usage, price, terms.components, at, service_tier=None, is_byok=False)
        except UnpriceableCall:
            continue
        charge = cost.charge + wanted.metered
        author = price.model.id.partition("/")[0]
        if charge < wanted.charge and (author not in found or charge < found[author].charge):
            found[author] = Alternative(price.model, charge, wanted.charge - charge, price.is_free)
    return sorted(found.values(), key=lambda each: (each.charge, each.model.id))[:MOST]


def _learned_of(prices: Sequence[BookPrice]) -> dict[str, Calibration]:
    """What was learned of the models that count in the stand-in's vocabulary."""
    ids = [price.model.id for price in prices]
    return learned_of(each for each in ids if family_of(each).vocabulary == UNKNOWN.vocabulary)


def _cheapest_first(
    wanted: Wanted, tokens: int, principal: Principal, terms: TierTerms, at: datetime
) -> Sequence[BookPrice]:
    def rough(price: BookPrice) -> Decimal:
        prices = price.card.prices
        return tokens * prices["prompt"] + wanted.answer_tokens * prices["completion"]

    limit = rough(wanted.price)
    fitting = _fitting(wanted, tokens, principal, terms, at)
    return sorted((each for each in fitting if rough(each) <= limit), key=lambda each: (rough(each), each.model.id))


def _fitting(wanted: Wanted, tokens: int, principal: Principal, terms: TierTerms, at: datetime) -> Iterator[BookPrice]:
    own = wanted.price.model
    needs_in = _inputs(wanted)
    room = tokens + wanted.facts.image_tokens + wanted.facts.audio_tokens + wanted.answer_tokens
    for model in listed_models():
        if model.id == own.id or not needs_in <= set(model.input_modalities or ("text",)):
            continue
        if not set(own.output_modalities or ("text",)) <= set(model.output_modalities or ("text",)):
            continue
        if model.context_length is not None and model.context_length < room:
            continue
        price = card_for(model.id, at)
        if price is None or price.card.is_dynamic() or not _is_permitted(price, principal, terms):
            continue
        if _answers_in_text(price):
            yield price


def _answers_in_text(price: BookPrice) -> bool:
    """Those that charge for input or pictures alone make embeddings or pictures, not answers, and are not free."""
    return bool(price.card.prices["completion"] or price.is_free)


def _is_permitted(price: BookPrice, principal: Principal, terms: TierTerms) -> bool:
    name = price.model.id
    return principal.may_use_model(name) and terms.may_use_model(name, is_free=price.is_free)


def _inputs(wanted: Wanted) -> set[str]:
    needs = {"text"}
    if wanted.facts.images:
        needs.add("image")
    if wanted.facts.audio_tokens:
        needs.add("audio")
    return needs
