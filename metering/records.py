"""One use as it is to be recorded, and what became of it."""

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from core.ids import uuid7
from core.money import ZERO

_HASH_BYTES = 16
_encode = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode


class Hit(msgspec.Struct, frozen=True):
    """What an event adds to a meter that the organization's tier has a price for."""

    meter: UUID
    value: Decimal


class UsageRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A priced event, ready to be recorded; field for field a row of :class:`metering.models.UsageEvent`.

    ``charge`` (USD, 12 places) is taken from ``hold_id`` when there is one (then ``limit_amount`` replaces the charge
    against the hold's spend limits), else from the wallet and every spend limit of ``limit_ids``.
    ``external_id`` makes it unique within the organization; ``content_hash`` tells a repetition from another event.
    """

    organization_id: UUID
    occurred_at: datetime
    kind: str
    source: str
    cost_source: str
    id: UUID = msgspec.field(default_factory=uuid7)
    name: str = ""
    external_id: str | None = None
    member_id: UUID | None = None
    api_key_id: UUID | None = None
    model: str = ""
    provider: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    quantity: Decimal = ZERO
    provider_cost: Decimal = ZERO
    markup: Decimal = ZERO
    charge: Decimal = ZERO
    byok_cost: Decimal = ZERO
    is_free: bool = False
    is_byok: bool = False
    price_id: UUID | None = None
    tier_slug: str = ""
    generation_id: str = ""
    hold_id: UUID | None = None
    status: str = "ok"
    latency_ms: int | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, Any] | msgspec.Raw = {}  # Raw: JSON that keeps the digits of its numbers
    derivation: dict[str, Any] = {}
    corrects_id: UUID | None = None
    received_at: datetime | None = None  # of the event that this one replaces; None: when it is recorded
    customer_id: UUID | None = None
    external_customer_id: str | None = None
    parent_id: str | None = None
    metered: tuple[Hit, ...] = ()
    # what the ledger is told beside the event
    content_hash: UUID | None = None
    exact_hash: UUID | None = None  # of the event as it was written, where that differs; hashes were made so once
    actor: str = ""
    limit_ids: tuple[UUID, ...] = ()
    limit_amount: Decimal | None = None


class UsageOutcome(msgspec.Struct, kw_only=True):
    """What became of one UsageRecord; amounts in USD.

    ``status``: ``recorded``; ``duplicate`` (recorded before) or ``key_reused`` (the id belongs to another event),
    both with the first event's id; or a refusal: ``insufficient``, ``limit_exceeded``, ``no_account``,
    ``unknown_hold``, ``hold_not_open``. Only ``recorded`` has left a trace. The wallet's figures are there when money
    moved or was refused; ``excess`` is what was charged beyond the overage limit because a provider billed more than
    was held.
    """

    status: str
    event_id: UUID
    entry_id: UUID | None = None
    charged: Decimal = ZERO
    balance: Decimal | None = None
    held: Decimal | None = None
    available: Decimal | None = None
    excess: Decimal = ZERO

    @property
    def is_known(self) -> bool:
        """Whether the event is in the books now, by this call or by an earlier one."""
        return self.status in ("recorded", "duplicate")


def hash_of(content: Any) -> UUID:
    """128 bits that stand for ``content``, whatever the order of its keys."""
    return UUID(bytes=blake2b(_encode(content), digest_size=_HASH_BYTES).digest())
