"""One call on its way through the gateway: all that this process knows of it, in one place."""

import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from accounts.principal import Principal
from metering.bounds import Bound, CallFacts
from metering.budgets.hooks import spending_of
from metering.budgets.standing import Spending, StandingBudget, limits_for
from metering.metered.calls import CallMeters
from metering.price_book import BookPrice
from metering.sizing import Priced
from openrouter.gateway.access import OWN, Key
from openrouter.gateway.answers import Reading
from openrouter.gateway.parse import RequestBody
from openrouter.gateway.ticket import Ticket
from tiers.terms import TierTerms


@dataclass(frozen=True, slots=True)
class Route:
    """One inference endpoint: its path here and at the provider, what kind of usage it is, its input members."""

    path: str
    kind: str
    inputs: tuple[str, ...]
    may_stream: bool = False
    is_audio: bool = False


class Try(msgspec.Struct):
    """One request to the provider."""

    number: int
    model: str
    started_at: datetime
    status: int | None = None  # None: no answer
    error_type: str = ""
    generation_id: str = ""
    cost: Decimal | None = None
    answered: bool = False
    duration_ms: int | None = None
    began: float = msgspec.field(default_factory=time.monotonic)

    def end(self) -> None:
        """Note how long it took."""
        self.duration_ms = int((time.monotonic() - self.began) * 1000)


class Call(msgspec.Struct):
    """The ticket outlives this process; the rest does not."""

    ticket: Ticket
    route: Route
    principal: Principal
    terms: TierTerms
    body: RequestBody
    candidates: list[Priced]  # the first is the model asked for, others fallbacks; only with an own key without a price
    key: Key
    base_url: str
    began: float = msgspec.field(default_factory=time.monotonic)
    asked_output: int | None = None  # the longest answer the client asks for, in tokens
    facts: CallFacts | None = None  # with the longest answer it may get; None with the customer's own key
    bound: Bound | None = None
    meters: CallMeters | None = None  # of the tier, that take credit for it
    tries: list[Try] = msgspec.field(default_factory=list)
    reading: Reading = msgspec.field(default_factory=Reading)
    answered_at: float | None = None  # when the first byte of the answer arrived
    budgets: tuple[StandingBudget, ...] = ()  # those that can refuse it, with all its candidates
    limit_remaining: Decimal | None = None  # the least room that its limits have left beside it, in USD
    status: str = "ok"
    client_left: bool = False
    has_added_fallbacks: bool = False  # by a routing rule: the call can do without
    output_limit: int | None = None  # the longest answer by a routing rule, where the client names none
    sized: dict[str, Any] | None = None  # the makeup of its prompt in counts, if it was measured

    @property
    def id(self) -> UUID:
        """The hold's."""
        return self.ticket.id

    @property
    def uses_own_key(self) -> bool:
        """Whether the customer pays the provider directly."""
        return self.key.kind == OWN

    @property
    def reserved(self) -> Decimal:
        """What the hold sets aside of the wallet, in USD: with the customer's own key what meters take alone."""
        if self.bound is None:
            return Decimal(0)
        return self.bound.metered if self.uses_own_key else self.bound.amount

    @property
    def limited(self) -> Decimal:
        """What it sets aside of its limits, in USD: with the customer's own key the most that the provider may bill
        and what meters take."""
        if not self.uses_own_key or self.bound is None:
            return self.reserved
        return self.bound.cost + self.bound.metered

    @property
    def spending(self) -> Spending:
        """Whose call it is, and which models may serve it by now."""
        names = frozenset(name for candidate in self.candidates for name in candidate.names)
        return spending_of(self.principal, names, self.ticket.tags)

    @property
    def budget_ids(self) -> tuple[UUID, ...]:
        """Counters of the budgets that its hold reserves against: those of the candidates that are left."""
        return tuple(limits_for(self.budgets, self.spending)) if self.budgets else ()

    @property
    def limit_ids(self) -> tuple[UUID, ...]:
        """The counters that its hold reserves against: the key's own, which counts credit alone, and budgets."""
        own = self.principal.spend_limit_id
        return self.budget_ids if own is None or self.uses_own_key else (own, *self.budget_ids)

    @property
    def first(self) -> Priced:
        """The model that was asked for."""
        return self.candidates[0]

    def answered_by_last_try(self) -> None:
        """The last request brought the answer; it names the model that gave it."""
        last = self.tries[-1]
        last.answered = True
        last.model = (self.reading.model or last.model)[:160]

    def price_of(self, served: str) -> BookPrice | None:
        """The price under which ``served``, the model named by the answer, was reserved."""
        for candidate in self.candidates:
            if served in candidate.names:
                return candidate.price
        for candidate in self.candidates:
            if candidate.price is not None and candidate.price.model.canonical_slug == served:
                return candidate.price
        return None
