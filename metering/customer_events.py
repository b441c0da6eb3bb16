"""Events of an organization's own customers, as the usage-billing clients send them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from metering.records import UsageRecord, hash_of

LARGEST_COUNT = 10**12  # of tokens in one event
_encode = msgspec.json.Encoder(decimal_format="number").encode
_NOTHING = hash_of(None)


class CustomerEvent(msgspec.Struct, kw_only=True):
    """One use by a customer of the organization; nothing is charged for it by itself.

    The customer is named by ``customer_id`` or ``external_customer_id``. ``parent_id`` is our id of another event or
    its ``external_id``. ``occurred_at`` is the time of receipt when it is None. ``metadata`` keeps the types of its
    values; its ``_llm`` also fills the token columns. ``source`` is ``system`` for what Farebox itself notes: meters
    leave that out.
    """

    name: str
    customer_id: UUID | None = None
    external_customer_id: str | None = None
    external_id: str | None = None
    parent_id: str | None = None
    occurred_at: datetime | None = None
    metadata: dict[str, Any] = {}
    source: str = "api"
    member_id: UUID | None = None
    api_key_id: UUID | None = None


class IngestResult(msgspec.Struct, kw_only=True):
    """How many events were new and how many known; ``event_ids[i]`` is the event that counts for the ``i``-th."""

    inserted: int
    duplicates: int
    event_ids: list[UUID]


def usage_of(event: CustomerEvent, organization_id: UUID, *, at: datetime) -> UsageRecord:
    """The record of an event that is received at ``at``."""
    return UsageRecord(
        organization_id=organization_id,
        occurred_at=event.occurred_at or at,
        kind="custom",
        source=event.source,
        cost_source="none",
        name=event.name,
        external_id=event.external_id,
        content_hash=_NOTHING,  # the first event under an id counts, whatever the others say
        member_id=event.member_id,
        api_key_id=event.api_key_id,
        customer_id=event.customer_id,
        external_customer_id=event.external_customer_id,
        parent_id=event.parent_id,
        metadata=msgspec.Raw(_encode(event.metadata)) if event.metadata else {},
        **_tokens(event.metadata.get("_llm")),
    )


def _tokens(call: Any) -> dict[str, Any]:
    """The token columns of a call to a language model; cached tokens are a part of the input."""
    if not isinstance(call, dict):
        return {}
    prompt = _count(call.get("input_tokens"))
    return {
        "model": str(call.get("model") or "")[:160],
        "provider": str(call.get("vendor") or "")[:80],
        "prompt_tokens": prompt,
        "completion_tokens": _count(call.get("output_tokens")),
        "cached_tokens": min(_count(call.get("cached_input_tokens")), prompt),
    }


def _count(value: Any) -> int:
    return min(value, LARGEST_COUNT) if isinstance(value, int) and value > 0 else 0
