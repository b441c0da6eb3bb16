"""The requests that both clients make, and how their answers are read: written once, sent by either."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from farebox import _json
from farebox._config import Config
from farebox.errors import ConnectionFailed
from farebox.types import (
    Balance,
    Event,
    HoldState,
    MeterBalance,
    Tracked,
    balance_of,
    hold_of,
    meter_balances_of,
    tracked_of,
)

Made = TypeVar("Made")
MOST_EVENTS = 10_000  # of one request


@dataclass(frozen=True)
class Call(Generic[Made]):
    """One request. Every one of them may be sent again: reads, and writes that carry their own key."""

    method: str
    path: str
    read: Callable[[Any], Made]
    body: Any = None


def parts_of(call: Call[Any], config: Config) -> dict[str, Any]:
    """What an HTTP client needs besides method and address. Raises ValueError for a body that JSON cannot hold."""
    if call.body is None:
        return {"headers": config.headers}
    return {"headers": {**config.headers, "Content-Type": "application/json"}, "content": _json.dumps(call.body)}


def read_answer(call: Call[Made], content: bytes) -> Made:
    """What was asked for. Raises ConnectionFailed when something in between answered instead of the server."""
    try:
        return call.read(_json.loads(content))
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ConnectionFailed(f"{call.method} {call.path} was answered by something else: {error!r}") from error


def refuse_redirect(call: Call[Any], status: int, location: str | None) -> None:
    """Raise ConnectionFailed for an answer that sends us elsewhere: the API never does, what is before it may."""
    if 300 <= status < 400:
        raise ConnectionFailed(f"{call.method} {call.path} was redirected to {location}; is base_url right?")


def get_balance() -> Call[Balance]:
    """The wallet now."""
    return Call("GET", "/api/v1/credits/balance", balance_of)


def place_hold(amount: Decimal | str, key: str, expires_in: int) -> Call[HoldState]:
    """Set ``amount`` USD aside for ``expires_in`` seconds."""
    body = {"amount": str(amount), "key": key, "expires_in": expires_in}
    return Call("POST", "/api/v1/credits/holds", hold_of, body)


def settle_hold(hold_id: str, amount: Decimal | str, reason: str) -> Call[HoldState]:
    """Charge ``amount`` USD, give the rest back."""
    body = {"amount": str(amount), **({"reason": reason} if reason else {})}
    return Call("POST", f"/api/v1/credits/holds/{hold_id}/settle", hold_of, body)


def release_hold(hold_id: str) -> Call[HoldState]:
    """Give everything back."""
    return Call("POST", f"/api/v1/credits/holds/{hold_id}/release", hold_of)


def track(event: Event) -> Call[Tracked]:
    """Report one event."""
    return Call("POST", "/api/v1/metering/track", tracked_of, event.as_document())


def track_batch(documents: Iterable[dict[str, Any]]) -> Call[list[Tracked]]:
    """Report many; each is recorded or refused on its own."""
    body = {"events": list(documents)}
    return Call("POST", "/api/v1/metering/track/batch", lambda made: [tracked_of(row) for row in made["results"]], body)


def estimate(model: str, messages: list[dict[str, Any]], max_tokens: int | None) -> Call[dict[str, Any]]:
    """What a call would cost."""
    body: dict[str, Any] = {"model": model, "messages": messages}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    return Call("POST", "/api/v1/metering/estimate", dict, body)


def customer_meters(external_customer_id: str) -> Call[list[MeterBalance]]:
    """What one of your customers has left on each meter."""
    path = f"/v1/customers/external/{quote(external_customer_id, safe='')}/state"
    return Call("GET", path, meter_balances_of)
