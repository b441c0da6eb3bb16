"""The list of models: what there is, what it costs, and what the organization's plan includes. Read from memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from metering.lab import can_be_tried
from metering.price_book import BookModel, BookPrice, card_for, listed_models
from metering.price_words import PriceLine, lines_of
from metering.prices import DYNAMIC
from tiers.errors import NoTier
from tiers.options import Option
from tiers.querysets import terms_for
from tiers.terms import TierTerms
from tiers.words import markup_words

_MILLION = 6
_BY_THE_TOKEN = ("prompt", "completion")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model with its provider's prices, USD per million tokens; None where it is not priced by the token."""

    model: BookModel
    price: BookPrice | None  # None: unknown, so that calls are refused
    is_included: bool  # in the plan
    can_be_tried: bool  # in the prompt lab
    input_price: Decimal | None
    output_price: Decimal | None

    @property
    def author(self) -> str:
        """The part of the id before the slash."""
        return self.model.id.partition("/")[0]

    @property
    def is_free(self) -> bool:
        """Whether every price that can ever apply is zero."""
        return self.price is not None and self.price.is_free

    @property
    def depends_on_route(self) -> bool:
        """Whether no price is known before the call."""
        return self.price is not None and self.price.card.is_dynamic()

    @property
    def other_price(self) -> PriceLine | None:
        """What is paid instead, for one that is not priced by the token."""
        if self.price is None or self.is_free or self.input_price or self.output_price or self.depends_on_route:
            return None
        prices = self.price.card.prices
        rest = {key: value for key, value in prices.items() if key not in _BY_THE_TOKEN and value}
        return next(iter(lines_of(rest)), None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that is listed at present, and what the plan adds to its prices, in words."""

    models: list[ListedModel]
    markup: str


def catalogue_of(organization_id: UUID, at: datetime) -> Catalogue:
    """The models as ``organization_id`` may use them at ``at`` (UTC)."""
    try:
        terms = terms_for(organization_id)
    except NoTier:
        terms = None
    models = [_listed(model, terms, at) for model in listed_models()]
    return Catalogue(models, "" if terms is None else markup_words(_option(terms)))


def sort_models(models: Iterable[ListedModel], order: str) -> list[ListedModel]:
    """By one of SORTS; what has no value of that kind comes last, equal ones by name."""
    return sorted(models, key=_ORDERS[order])


def modalities(models: Iterable[ListedModel]) -> tuple[list[str], list[str]]:
    """What models read and what they write, each once."""
    found = list(models)
    reads = {word for each in found for word in each.model.input_modalities}
    writes = {word for each in found for word in each.model.output_modalities}
    return sorted(reads), sorted(writes)


def _option(terms: TierTerms) -> Option:
    return Option(terms.option, Decimal(0), terms.components, terms.byok_allowed)


def _listed(model: BookModel, terms: TierTerms | None, at: datetime) -> ListedModel:
    price = card_for(model.id, at)
    is_included = terms is not None and terms.may_use_model(model.id, is_free=bool(price and price.is_free))
    return ListedModel(
        model=model,
        price=price,
        is_included=is_included,
        can_be_tried=is_included and can_be_tried(price),
        input_price=_by_the_million(price, "prompt"),
        output_price=_by_the_million(price, "completion"),
    )


def _by_the_million(price: BookPrice | None, key: str) -> Decimal | None:
    amount = None if price is None else price.card.prices.get(key)
    if amount is None or amount == DYNAMIC or (not amount and not (price and price.is_free)):
        return None
    return amount.scaleb(_MILLION)


def _named(each: ListedModel) -> tuple[str, str]:
    return each.model.name.lower(), each.model.id


def _newest(each: ListedModel) -> tuple[object, ...]:
    return -(each.model.published_at or _LONG_AGO).timestamp(), *_named(each)


def _longest(each: ListedModel) -> tuple[object, ...]:
    return -(each.model.context_length or 0), *_named(each)


def _cheapest_input(each: ListedModel) -> tuple[object, ...]:
    return each.input_price is None, each.input_price or 0, *_named(each)


def _cheapest_output(each: ListedModel) -> tuple[object, ...]:
    return each.output_price is None, each.output_price or 0, *_named(each)


_ORDERS: dict[str, Callable[[ListedModel], tuple[object, ...]]] = {
    "newest": _newest,
    "name": _named,
    "input": _cheapest_input,
    "output": _cheapest_output,
    "context": _longest,
}
SORTS = tuple(_ORDERS)
