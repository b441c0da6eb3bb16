"""What the prompt lab shows: the models to choose from, and what was estimated beside what was charged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import jsonio
from core.money import InvalidAmount, read_decimal
from metering.estimates.estimating import Estimate
from metering.models import UsageEvent
from metering.price_book import BookPrice, card_for, listed_models
from tiers.terms import TierTerms

DEFAULT_ANSWER = 500
LONGEST_ANSWER = 100_000
_MILLION = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """A model of the picker, with its prices in USD per million tokens."""

    id: str
    name: str
    input_price: Decimal
    output_price: Decimal
    is_free: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The models of one author."""

    author: str
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt as the form has it."""

    model: str
    prompt: str
    system: str = ""
    max_tokens: int = DEFAULT_ANSWER

    def request(self) -> dict[str, Any]:
        """The body of the call; the page's script sends the same one."""
        system = [{"role": "system", "content": self.system}] if self.system.strip() else []
        return {
            "model": self.model,
            "messages": [*system, {"role": "user", "content": self.prompt}],
            "max_tokens": self.max_tokens,
            "stream": True,
        }

    def raw(self) -> bytes:
        """The same as bytes on the wire."""
        return jsonio.dumps(self.request())


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call and what had been estimated for it; the estimates are the page's own memory, None when it has none."""

    event: UsageEvent
    likely: Decimal | None
    worst: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        """How far the charge is from the likely one, USD."""
        return None if self.likely is None else self.event.charge - self.likely


def choices_for(terms: TierTerms, at: datetime) -> list[Group]:
    """The priced models that answer in text and that the tier includes, by author and name."""
    groups: dict[str, list[Choice]] = {}
    for price in _usable(terms, at):
        groups.setdefault(price.model.id.partition("/")[0], []).append(_choice(price))
    return [Group(author, sorted(found, key=_place)) for author, found in sorted(groups.items())]


def usual_model(groups: Iterable[Group], wanted: str, otherwise: str) -> str:
    """``wanted`` if it is among the choices, else ``otherwise``, else the first there is."""
    ids = [choice.id for group in groups for choice in group.choices]
    return next((each for each in (wanted, otherwise) if each in ids), ids[0] if ids else "")


def outcome_of(organization_id: UUID, event_id: UUID, told: Mapping[str, str]) -> Outcome | None:
    """The call of this organization, once it is in the books."""
    event = UsageEvent.objects.filter(organization_id=organization_id, id=event_id).first()
    if event is None:
        return None
    return Outcome(event, _amount(told.get("likely")), _amount(told.get("worst")))


def estimate_facts(estimate: Estimate) -> dict[str, Any]:
    """The template's names for an estimate."""
    available = estimate.balance.available
    return {
        "estimate": estimate,
        "after_likely": available - estimate.likely.charge,
        "after_worst": available - estimate.worst,
        "total_likely": estimate.prompt.likely + estimate.answer.likely,
    }


def can_be_tried(price: BookPrice | None) -> bool:
    """Whether the lab has this model for whoever may use it: it answers in text, at a price known before the call."""
    if price is None or price.card.is_dynamic():
        return False
    if price.model.output_modalities and "text" not in price.model.output_modalities:
        return False
    return price.is_free or bool(price.card.prices["completion"])


def _usable(terms: TierTerms, at: datetime) -> Iterable[BookPrice]:
    for model in listed_models():
        price = card_for(model.id, at)
        if price and can_be_tried(price) and terms.may_use_model(model.id, is_free=price.is_free):
            yield price


def _choice(price: BookPrice) -> Choice:
    prices = price.card.prices
    return Choice(
        id=price.model.id,
        name=price.model.name,
        input_price=prices["prompt"].scaleb(_MILLION),
        output_price=prices["completion"].scaleb(_MILLION),
        is_free=price.is_free,
    )


def _place(choice: Choice) -> tuple[str, str]:
    return choice.name.lower(), choice.id


def _amount(text: str | None) -> Decimal | None:
    try:
        amount = read_decimal((text or "").strip())
    except InvalidAmount:
        return None
    return amount if amount.is_finite() and 0 <= amount < 1_000_000 else None
