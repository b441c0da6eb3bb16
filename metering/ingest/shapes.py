"""What a reported event looks like on the wire, and what is answered."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from core.money import ZERO, InvalidAmount, read_decimal

MOST_EVENTS = 10_000
MOST_TAGS = 20
LARGEST_COUNT = 10**12  # no single event has more tokens, characters or searches

Count = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255)]
Text40 = Annotated[str, Meta(min_length=1, max_length=40)]
Text80 = Annotated[str, Meta(max_length=80)]
Text128 = Annotated[str, Meta(max_length=128)]
Text160 = Annotated[str, Meta(max_length=160)]
Text200 = Annotated[str, Meta(max_length=200)]
_NAMES = {bool: "bool", list: "array", dict: "object"}


if TYPE_CHECKING:
    PlainDecimal = Decimal
else:

    class _Decimals(type):
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, Decimal)

    class PlainDecimal(metaclass=_Decimals):
        """A Decimal whose text ``plain_decimal`` reads: the decoder's own reading takes ``1_0`` and ``１２`` too."""


def plain_decimal(kind: type, given: Any) -> Decimal:
    """For decoders of shapes with a PlainDecimal. Raises ValueError, in the decoder's words."""
    if kind is not PlainDecimal:
        raise NotImplementedError
    if isinstance(given, str):
        try:
            return read_decimal(given)
        except InvalidAmount:
            raise ValueError("Invalid decimal string") from None
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        raise ValueError(f"Expected `decimal`, got `{_NAMES.get(type(given), 'null')}`")
    return Decimal(given) or ZERO


class TrackedEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One use of anything, as the service that saw it reports it.

    Token totals contain their parts: cached and cache-write tokens are inside ``prompt_tokens``, reasoning inside
    ``completion_tokens``. With ``cost`` (USD) that figure is charged plus markup; with ``model`` and quantities the
    price list's figure is; with neither nothing is. ``hold_id`` settles that hold instead of charging the wallet.
    """

    external_id: ExternalId | None = None
    id: ExternalId | None = None  # the short name of external_id; None once read
    kind: Literal["chat", "completion", "embedding", "tts", "search", "agent", "custom"] = "custom"
    name: Text128 = ""
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None
    model: Text160 = ""
    provider: Text80 = ""
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    characters: Count = 0
    images: Count = 0
    searches: Count = 0
    seconds: PlainDecimal = ZERO
    quantity: PlainDecimal | None = None
    cost: PlainDecimal | None = None
    is_byok: bool = False
    hold_id: UUID | None = None
    member_id: UUID | None = None
    generation_id: Text80 = ""
    status: Literal["ok", "error", "cancelled", "partial"] = "ok"
    latency_ms: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    tags: Annotated[dict[Text40, Text200], Meta(max_length=MOST_TAGS)] = {}
    metadata: dict[str, Any] = {}
    customer_id: UUID | None = None
    external_customer_id: ExternalId | None = None
    parent_id: ExternalId | None = None

    def __post_init__(self) -> None:
        """Know the caller's id by one name."""
        if self.id is not None:
            if self.external_id is not None:
                raise ValueError("Give external_id or id, not both")
            self.external_id, self.id = self.id, None


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Many events; each is recorded or refused on its own."""

    events: list[TrackedEvent]


class RawBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The same while some event does not fit."""

    events: list[msgspec.Raw]


class EventResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one event of a batch; its charge is USD.

    ``status``: ``recorded``, ``duplicate`` (its external id was recorded before, by ``event_id``) or ``refused``.
    """

    index: int
    status: str
    event_id: UUID | None = None
    external_id: str | None = None
    charge: str
    error: dict[str, Any] | None = None


class BatchResult(msgspec.Struct, kw_only=True):
    """The answer to a batch: how many events ended how, what they cost together, and each in the order sent."""

    recorded: int
    duplicates: int
    refused: int
    charge: str
    available: str | None
    results: list[EventResult]


class EventAnswer(msgspec.Struct, kw_only=True):
    """The answer to a single event. ``available`` is what the wallet can still spend, if the event touched it."""

    status: str
    event_id: UUID
    external_id: str | None
    cost: str
    markup: str
    charge: str
    cost_source: str
    available: str | None
