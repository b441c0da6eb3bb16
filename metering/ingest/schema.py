"""The wire shapes of ingestion for the API document, read from the structures that decode and encode them."""

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample

from metering.ingest.shapes import MOST_EVENTS, BatchResult, EventAnswer, EventResult, TrackedEvent

_NOTES = {
    "external_id": "Your own id of this event, once for ever: sent again it is not counted again.",
    "id": "The same in short; give one of the two.",
    "kind": "What was used; an event of kind `custom` needs a `name`.",
    "occurred_at": "When it happened, with an offset; now when left out. At most 60 s ahead.",
    "prompt_tokens": "All input tokens, cached and cache-write tokens included.",
    "completion_tokens": "All output tokens, reasoning included.",
    "quantity": "What you count besides tokens, up to 6 decimal places.",
    "cost": "What it cost you, USD, up to 12 decimal places; charged with the markup of your tier.",
    "is_byok": "Paid with your own provider key: metered, costs no credits.",
    "hold_id": "An open hold: it is settled to this event's charge, and the rest is released.",
    "tags": "Up to 20 labels, each summed by day.",
    "metadata": "Anything else, up to 16 KiB.",
    "customer_id": "Which of your own customers used it, by Farebox's id of the customer.",
    "external_customer_id": "The same by your own id; give one of the two.",
    "parent_id": "The event that this one is part of: our id of it, or its `external_id`.",
    "charge": "What credit paid, USD: cost and markup, and what the meters of your tier took.",
    "available": "What the wallet can still spend, USD; null when it was not touched.",
}
_MONEY = {"type": "string", "format": "decimal"}
_DECIMAL = {"type": ["string", "number"], "format": "decimal"}
_DECIMALS = {"seconds", "quantity", "cost"}


def _schema_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The shape as one JSON schema without references."""
    _, components = msgspec.json.schema_components([shape], schema_hook=lambda _: _DECIMAL)
    schema = dict(components[shape.__name__])
    schema["properties"] = {name: _property(name, one) for name, one in schema["properties"].items()}
    return schema


def _property(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name in _DECIMALS:
        schema = dict(_DECIMAL)
    elif name in ("charge", "markup"):
        schema = dict(_MONEY)
    elif "$ref" in schema or name in ("results", "events"):
        schema = {}
    return {**schema, "description": _NOTES[name]} if name in _NOTES else schema


def _list_of(schema: dict[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": schema, **limits}


EVENT = _schema_of(TrackedEvent)
EVENT_ANSWER = _schema_of(EventAnswer)
BATCH = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": _list_of(EVENT, minItems=1, maxItems=MOST_EVENTS)},
    "additionalProperties": False,
}
BATCH_RESULT = _schema_of(BatchResult)
BATCH_RESULT["properties"]["results"] = _list_of(_schema_of(EventResult))

CORRECTION = {
    "type": "object",
    "required": ["reason", "event"],
    "properties": {"reason": {"type": "string", "minLength": 1, "maxLength": 300}, "event": EVENT},
    "additionalProperties": False,
}

_CALL = {
    "external_id": "call-8f14e45f",
    "kind": "chat",
    "model": "openai/gpt-4o-mini",
    "prompt_tokens": 1200,
    "completion_tokens": 350,
    "tags": {"feature": "search"},
}
EVENT_EXAMPLE = OpenApiExample("A chat call, priced from the price list", value=_CALL, request_only=True)
BATCH_EXAMPLE = OpenApiExample(
    "A call and a search",
    value={"events": [_CALL, {"external_id": "search-17", "kind": "search", "quantity": "1", "cost": "0.005"}]},
    request_only=True,
)
CORRECTION_EXAMPLE = OpenApiExample(
    "The answer was shorter than reported",
    value={
        "reason": "Counted the prompt twice",
        "event": {"kind": "chat", "model": "openai/gpt-4o-mini", "prompt_tokens": 600, "completion_tokens": 350},
    },
    request_only=True,
)
