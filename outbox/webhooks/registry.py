"""The types of news that endpoints can choose, and how each becomes the ``data`` of what is sent."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outbox.models import DomainEvent

# What a renderer answers: an object for ``data``, the JSON bytes of one, or None when there is nothing to tell.
Data = Mapping[str, Any] | bytes | None
Renderer = Callable[["DomainEvent"], Data]

WIRE_SOURCE = "billing."  # what the domain events of the usage-billing wire begin with
WIRE_VERSION = "2026-10"
TEST_TYPE = "webhook.test"  # sent when somebody asks for it, whatever an endpoint has chosen


@dataclass(frozen=True, slots=True)
class NewsType:
    """A type of news. ``version``: of the wire whose clients read it; empty for Farebox's own."""

    name: str
    words: str
    render: Renderer
    version: str = ""


def _fields(*names: str) -> Renderer:
    """Only these members of the domain event: what is added to it later is not sent by accident."""
    return lambda event: {name: event.data.get(name) for name in names}


_FIGURES = ("balance", "held", "available", "threshold")
_TIER = ("subscription_id", "tier", "version", "option", "before")
_TRIAL = (
    *("subscription_id", "tier", "version", "option"),
    *("trial_ends_at", "next_tier", "monthly_price", "collection", "payment_method"),
)
_BUDGET = (
    *("budget_id", "name", "scope", "period", "enforcement", "amount", "spent", "remaining", "starts_at", "resets_at"),
)
_PROVIDER_ACCOUNT = ("account", "label")
_USAGE = (
    *("event_id", "external_id", "occurred_at", "kind", "name", "source", "model", "provider", "status"),
    *("prompt_tokens", "completion_tokens", "quantity", "provider_cost", "markup", "charge", "tags"),
    *("customer_id", "external_customer_id"),
)
_NATIVE = (
    NewsType("credits.granted", "Credit was added", _fields("amount", "kind", "entry_id", "balance")),
    NewsType("credits.low", "Credit has fallen below the threshold", _fields(*_FIGURES)),
    NewsType("credits.exhausted", "Credit is used up", _fields(*_FIGURES)),
    NewsType("credits.expired", "Credit has expired unspent", _fields(*_FIGURES)),
    NewsType("hold.expired", "A hold was neither settled nor released in time", _fields(*_FIGURES)),
    NewsType("usage.recorded", "A use was recorded (one message for each)", _fields(*_USAGE)),
    NewsType("budget.threshold_reached", "Usage has come to a threshold of a budget", _fields(*_BUDGET, "threshold")),
    NewsType("budget.exceeded", "More was used than a budget has", _fields(*_BUDGET)),
    NewsType("budget.blocked", "A budget has refused a call", _fields(*_BUDGET)),
    NewsType("tier.changed", "Another tier is in force", _fields(*_TIER)),
    NewsType("tier.trial_ending", "A trial ends within three days", _fields(*_TRIAL)),
    NewsType(
        "statement.ready",
        "A period’s statement is final",
        _fields("statement_id", "number", "starts_at", "ends_at", "opening", "closing", "overage"),
    ),
    NewsType("coupon.redeemed", "A coupon was redeemed", _fields("redemption_id", "code", "type", "offer", "credits")),
    NewsType("openrouter.account.requested", "A provider account was asked for", _fields(*_PROVIDER_ACCOUNT)),
    NewsType("openrouter.account.created", "The provider account is ready", _fields(*_PROVIDER_ACCOUNT, "limit")),
    NewsType("openrouter.account.rotated", "The provider account has a new key", _fields(*_PROVIDER_ACCOUNT, "limit")),
    NewsType("openrouter.account.disabled", "The provider account is disabled", _fields(*_PROVIDER_ACCOUNT, "reason")),
    NewsType("openrouter.account.enabled", "The provider account works again", _fields(*_PROVIDER_ACCOUNT)),
    NewsType("openrouter.account.deleted", "The provider account is deleted", _fields(*_PROVIDER_ACCOUNT)),
    NewsType("openrouter.account.lost", "The provider no longer knows the account’s key", _fields(*_PROVIDER_ACCOUNT)),
    NewsType(
        "reconciliation.drift",
        "The provider’s books differ from these",
        _fields("scope", "new", "sum"),
    ),
)
_types: dict[str, NewsType] = {each.name: each for each in _NATIVE}


def register_payload(type: str, render: Renderer, *, source: str = "", words: str = "") -> None:
    """Let endpoints choose ``type`` of the usage-billing wire.

    ``render`` makes its ``data`` of the domain event ``source`` (by default ``billing.<type>``), once, some moments
    after the commit; it may be called again for the same event, and raises to be called again later.
    """
    from outbox.registry import handles
    from outbox.webhooks.handlers import announce

    _types[type] = NewsType(type, words or type, render, WIRE_VERSION)
    handles(source or f"{WIRE_SOURCE}{type}")(announce)


def type_of(source: str) -> NewsType | None:
    """The type that a domain event of the type ``source`` is told as."""
    return _types.get(source.removeprefix(WIRE_SOURCE))


def types() -> list[NewsType]:
    """Every type that an endpoint can choose."""
    return list(_types.values())


def native_types() -> list[NewsType]:
    """Farebox's own."""
    return [each for each in _types.values() if not each.version]


def unknown_types(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that no endpoint can choose."""
    return [name for name in names if name not in _types]
