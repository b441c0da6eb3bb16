"""One recorded event under other terms: what it would have cost, and whether it would have been made at all. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from advice.what_if.change import Terms
from advice.what_if.prices import Listed
from core.money import ZERO, quantize
from metering.errors import UnpriceableCall
from metering.prices import PriceCard
from metering.rating import apply_markup, rate
from metering.recorded_usage import Derivation, RecordedEvent, derivation_of, usage_of

KEPT, REFUSED, UNPRICED, STOPPED = "kept", "refused", "unpriced", "stopped"
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class PriceSource(Protocol):
    """Where price lists come from."""

    def at(self, name: str, moment: datetime) -> Listed | None:
        """The list of a model at an instant."""


class Replayed(NamedTuple):
    """An event's figures under the other terms, USD at 12 places.

    ``fate``: KEPT; REFUSED (the tier does not include the model); UNPRICED (no price is known, so it stands as it was).
    """

    fate: str
    model: str
    provider_cost: Decimal
    markup: Decimal
    charge: Decimal
    byok_cost: Decimal
    metered: Decimal = ZERO  # what it adds to meters, told by :mod:`advice.what_if.meters`

    @property
    def spend(self) -> Decimal:
        """What the customer pays in all: from the wallet, for meters, and to the provider directly."""
        return self.charge + self.byok_cost + self.metered


@dataclass(frozen=True, slots=True)
class _Cost:
    """What the provider bills, exact."""

    amount: Decimal
    is_free: bool
    model: str
    is_new: bool  # computed here, not taken from the books


def replayer(terms: Terms, prices: PriceSource) -> Callable[[RecordedEvent], Replayed]:
    """A function that replays events under ``terms``; the same event always gives the same answer.

    An event that carries no price of its own (a failed call, an event of the caller's with a charge of its own making)
    stands as it was. With other prices, a cost is computed from the recorded quantities; a cost that the caller stated
    stands unless another model is asked for. Without them the recorded cost stays, also where the provider's bill
    differed from the list.
    """
    return _Replayer(terms, prices).replay


class _Replayer:
    def __init__(self, terms: Terms, prices: PriceSource) -> None:
        self._terms, self._prices = terms, prices
        change = terms.change
        self._model, self._prices_at, self._kinds = change.model, change.prices_at, terms.kinds
        self._has_other_prices = terms.has_other_prices
        self._own_list = None if terms.card is None else _own_list(terms.card)

    def replay(self, event: RecordedEvent) -> Replayed:
        derivation = derivation_of(event.derivation)
        if derivation.source == "none":
            return _as_it_was(event, KEPT)
        cost = self._cost(event, derivation)
        if cost is None:
            return _as_it_was(event, UNPRICED)
        replayed = self._charged(event, derivation, cost)
        tier = self._terms.tier
        if tier is not None and cost.model and not tier.may_use_model(cost.model, is_free=cost.is_free):
            return replayed._replace(fate=REFUSED)
        return replayed

    def _cost(self, event: RecordedEvent, derivation: Derivation) -> _Cost | None:
        """The provider's part; None when no list prices it."""
        if not self._has_other_prices or not event.model or self._stands(event):
            amount = event.byok_cost if event.is_byok else Decimal(derivation.cost)
            return _Cost(amount, derivation.is_free, event.model, is_new=False)
        listed = self._own_list or self._prices.at(self._model or event.model, self._prices_at or event.occurred_at)
        if listed is None:
            return None
        service_tier = derivation.computed.service_tier if derivation.computed is not None else None
        try:
            rated = rate(usage_of(event, derivation), listed.card, event.occurred_at, service_tier)
        except UnpriceableCall:
            return None
        if rated.unpriced:
            return None
        return _Cost(rated.cost, listed.is_free, listed.model or event.model, is_new=True)

    def _stands(self, event: RecordedEvent) -> bool:
        """Whether its cost stays although others are computed anew."""
        if not self._model:
            return event.cost_source == "caller"
        return self._kinds is not None and event.kind not in self._kinds

    def _charged(self, event: RecordedEvent, derivation: Derivation, cost: _Cost) -> Replayed:
        uses_own_key = event.is_byok if self._terms.is_byok is None else self._terms.is_byok
        if not uses_own_key:
            return self._by_wallet(derivation, cost)
        own = quantize(cost.amount) if cost.is_new or not event.is_byok else event.byok_cost
        if event.is_byok:  # what the wallet paid for it, if anything, was a fee of the provider's
            return Replayed(KEPT, cost.model, event.provider_cost, event.markup, event.charge, own)
        return Replayed(KEPT, cost.model, ZERO, ZERO, ZERO, own)

    def _by_wallet(self, derivation: Derivation, cost: _Cost) -> Replayed:
        components = self._terms.components
        charge = apply_markup(
            cost.amount,
            derivation.tokens,
            derivation.requests,
            derivation.components if components is None else components,
            is_free=cost.is_free,
            is_byok=False,
        )
        return Replayed(KEPT, cost.model, charge.cost, charge.markup, charge.charge, ZERO)


def _as_it_was(event: RecordedEvent, fate: str) -> Replayed:
    return Replayed(fate, event.model, event.provider_cost, event.markup, event.charge, event.byok_cost)


def _own_list(card: PriceCard) -> Listed:
    return Listed(None, "", card, card.is_free(), _ALWAYS, None)
