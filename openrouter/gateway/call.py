"""One call on its way through the gateway: all that is known of it, in one place."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.principal import Principal
from core.ids import uuid7
from metering.bounds import Bound
from metering.price_book import BookPrice
from openrouter.gateway.access import OWN, Key
from openrouter.gateway.answers import Reading
from openrouter.gateway.parse import RequestBody
from tiers.terms import TierTerms


@dataclass(frozen=True, slots=True)
class Route:
    """One inference endpoint: ours and the provider's path, what kind of usage it is, and the body's input members."""

    path: str
    kind: str
    inputs: tuple[str, ...]
    may_stream: bool = False
    is_audio: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may serve the call: the name asked for, and what it costs. Only with an own key may it be unknown."""

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


@dataclass(slots=True)
class Try:
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
    began: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Note how long it took."""
        self.duration_ms = int((time.monotonic() - self.began) * 1000)


@dataclass(slots=True)
class Call:
    """``id`` is the hold's and the request's, ``event_id`` the usage event's; both are known before anything is sent."""

    route: Route
    principal: Principal
    terms: TierTerms
    body: RequestBody
    candidates: list[Candidate]
    key: Key
    base_url: str
    streams: bool
    tags: dict[str, str]
    id: UUID = field(default_factory=uuid7)
    event_id: UUID = field(default_factory=uuid7)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    bound: Bound | None = None
    output_cap: int | None = None
    characters: int = 0
    tries: list[Try] = field(default_factory=list)
    reading: Reading = field(default_factory=Reading)
    answered_at: float | None = None  # when the first byte of the answer arrived
    status: str = "ok"
    noted: bool = False

    @property
    def uses_own_key(self) -> bool:
        """Whether the customer pays the provider directly."""
        return self.key.kind == OWN

    @property
    def organization_id(self) -> UUID:
        """Who pays."""
        return self.principal.organization_id

    @property
    def reserved(self) -> Decimal:
        """What the hold sets aside, in USD."""
        return self.bound.amount if self.bound is not None else Decimal(0)

    def price_of(self, served: str) -> BookPrice | None:
        """The price under which ``served``, the model named by the answer, was reserved."""
        for candidate in self.candidates:
            if served in candidate.names:
                return candidate.price
        for candidate in self.candidates:
            if candidate.price is not None and candidate.price.model.canonical_slug == served:
                return candidate.price
        return None

    def context(self, instance: str) -> dict[str, Any]:
        """What recovery needs to settle the call without this process; kept on the hold."""
        principal = self.principal
        return {
            "v": 1,
            "event": self.event_id,
            "kind": self.route.kind,
            "models": [candidate.name for candidate in self.candidates],
            "prices": {c.name: c.price.id for c in self.candidates if c.price is not None},
            "free": all(candidate.is_free for candidate in self.candidates),
            "tier": self.terms.slug,
            "components": list(self.terms.components),
            "key": self.key.kind,
            "key_hash": self.key.hash,
            "mode": principal.mode,
            "api_key": principal.api_key_id,
            "member": principal.member_id,
            "actor": principal.actor,
            "tags": self.tags,
            "streams": self.streams,
            "cap": self.output_cap,
            "cost_bound": str(self.bound.cost) if self.bound is not None else "0",
            "characters": self.characters,
            "at": self.at,
            "by": instance,
        }
