"""What goes in and what comes back. Amounts are ``Decimal`` US dollars, times are aware."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar
from uuid import uuid4

Kind = Literal["chat", "completion", "embedding", "tts", "search", "agent", "custom"]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Balance:
    """A wallet. ``available`` is what a new call may claim: balance less holds."""

    balance: Decimal
    held: Decimal
    available: Decimal
    overage: Decimal
    overage_limit: Decimal
    currency: str
    at: datetime


@dataclass(frozen=True)
class HoldState:
    """Credit set aside: ``open`` until it is settled, released or expired."""

    id: str
    amount: Decimal
    status: str
    expires_at: datetime
    settled_amount: Decimal | None = None


@dataclass(frozen=True)
class Tracked:
    """What became of one event: ``recorded``, ``duplicate`` (known already, charged once) or ``refused``."""

    status: Literal["recorded", "duplicate", "refused"]
    external_id: str | None = None
    event_id: str | None = None
    charge: Decimal = Decimal(0)
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class MeterBalance:
    """What one customer has used and was credited on one meter, in the meter's unit."""

    meter_id: str
    meter: str
    consumed: Decimal
    credited: Decimal

    @property
    def remaining(self) -> Decimal:
        """Credit left; below zero what was used beyond it."""
        return self.credited - self.consumed


@dataclass
class Event:
    """One use of anything.

    ``external_id`` names it for ever: the same event sent again is counted once, so one is made here when none is
    given. With ``cost`` (USD) that figure is charged to your credits plus markup; with ``model`` and quantities the
    price list's figure is; with neither nothing is charged and the event is only counted. ``external_customer_id`` says
    whose use it was, for meters and their prices.
    """

    name: str = ""
    kind: Kind = "custom"
    external_customer_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    model: str = ""
    provider: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    characters: int = 0
    images: int = 0
    searches: int = 0
    seconds: Decimal = Decimal(0)
    quantity: Decimal | None = None
    cost: Decimal | None = None
    hold_id: str | None = None
    parent_id: str | None = None
    occurred_at: datetime | None = None
    status: Literal["ok", "error", "cancelled", "partial"] = "ok"
    latency_ms: int | None = None
    external_id: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        # Never without: an event that has no name is recorded again each time that it is sent.
        self.external_id = self.external_id or str(uuid4())

    def as_document(self) -> dict[str, Any]:
        """The event as the server reads it; what was left as it is by default is left out.

        A cost of nothing is a statement: without it a named model is priced.
        """
        values = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        return {name: value for name, value, default in values if value != default and value != {}}


def time_of(text: str) -> datetime:
    """An instant as the server writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def balance_of(document: Mapping[str, Any]) -> Balance:
    """Read a balance."""
    amounts = {name: Decimal(document[name]) for name in ("balance", "held", "available", "overage", "overage_limit")}
    return Balance(**amounts, currency=document["currency"], at=time_of(document["at"]))


def hold_of(document: Mapping[str, Any]) -> HoldState:
    """Read a hold."""
    settled = document.get("settled_amount")
    return HoldState(
        id=document["id"],
        amount=Decimal(document["amount"]),
        status=document["status"],
        expires_at=time_of(document["expires_at"]),
        settled_amount=None if settled is None else Decimal(settled),
    )


def tracked_of(document: Mapping[str, Any]) -> Tracked:
    """Read what became of an event."""
    return Tracked(
        status=document["status"],
        external_id=document.get("external_id"),
        event_id=document.get("event_id"),
        charge=Decimal(document.get("charge", "0")),
        error=document.get("error"),
    )


def meter_balances_of(document: Mapping[str, Any]) -> list[MeterBalance]:
    """Read the meters of a customer's state, whatever the sign of its ``balance``."""
    return [
        MeterBalance(
            meter_id=row["meter_id"],
            meter=(row.get("meter") or {}).get("name", ""),
            consumed=Decimal(row["consumed_units"]),
            credited=Decimal(row["credited_units"]),
        )
        for row in document["active_meters"]
    ]
