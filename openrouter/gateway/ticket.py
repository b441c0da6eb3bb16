"""What is known of a call when its hold is placed: kept on the hold, so that any process can settle the call."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from core.ids import uuid7
from core.money import ZERO

VERSION = 1


class Ticket(msgspec.Struct, kw_only=True):
    """One call. ``id`` is the hold's, ``event_id`` the usage event's; amounts are USD. Never secrets or prompts."""

    organization_id: UUID
    kind: str
    models: list[str]  # as asked for; any of them may serve
    mode: str  # "live" or "test"
    tier: str
    components: list[dict[str, Any]]
    key_kind: str  # see access.py
    key_hash: str
    at: datetime
    actor: str
    api_key_id: UUID | None = None
    member_id: UUID | None = None
    streams: bool = False
    tags: dict[str, str] = {}
    asked_output: int | None = None  # the longest answer that the client named, in tokens
    output_cap: int | None = None
    fingerprint: str = ""  # see gateway/fingerprint.py
    characters: int = 0
    cost_bound: Decimal = ZERO  # the most that the provider may bill
    rule: dict[str, Any] = {}  # the operator's routing rule that the request follows, as ``rule_facts`` tells it
    metered: list[dict[str, Any]] = []  # what the tier charges by the operator's meters
    process: str = ""  # which gateway process carries it out
    id: UUID = msgspec.field(default_factory=uuid7)
    event_id: UUID = msgspec.field(default_factory=uuid7)
    version: int = VERSION

    def context(self) -> dict[str, Any]:
        """As the hold keeps it."""
        return msgspec.structs.asdict(self)

    @classmethod
    def read(cls, context: dict[str, Any]) -> "Ticket":
        """From a hold's context. Raises msgspec.ValidationError for one that no gateway wrote."""
        return msgspec.convert(context, cls, strict=False)
