"""``GET /generation?id=``: one call of the organization's own, by the provider's id or by the usage event's."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from core.money import to_wire
from metering.models import UsageEvent
from openrouter.gateway.errors import CallRefused, invalid

# A generation's id begins with the second in which it was made.
_GENERATION = re.compile(r"gen-(\d{9,11})-[A-Za-z0-9_-]{1,64}")
_AROUND = timedelta(hours=2)
_UUID_TIME_SHIFT = 80


def generation_document(organization_id: UUID, wanted: str) -> dict[str, Any]:
    """The call in OpenRouter's shape; costs are what the organization was charged. Raises CallRefused."""
    if not wanted:
        raise invalid("id is required: a generation id, or the id of a usage event.", "id")
    event = _find(organization_id, wanted)
    if event is None:
        raise CallRefused(404, f"Generation {wanted[:80]} was not found.", "not_found", param="id", retry_after=1)
    return {"data": _document(event)}


def _find(organization_id: UUID, wanted: str) -> UsageEvent | None:
    """By the time inside the id, so that one organization's index over time finds the row."""
    events = UsageEvent.objects.filter(organization_id=organization_id, source="gateway")
    if match := _GENERATION.fullmatch(wanted):
        made = datetime.fromtimestamp(int(match[1]), UTC)
        return events.filter(occurred_at__range=(made - _AROUND, made + _AROUND), generation_id=wanted).first()
    try:
        event_id = UUID(wanted)
        made = datetime.fromtimestamp((event_id.int >> _UUID_TIME_SHIFT) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return events.filter(occurred_at__range=(made - _AROUND, made + _AROUND), pk=event_id).first()


def _document(event: UsageEvent) -> dict[str, Any]:
    facts = event.metadata
    finish = facts.get("finish_reason")
    return {
        "id": event.generation_id or str(event.id),
        "upstream_id": None,
        "request_id": str(event.id),
        "api_type": {"embedding": "embeddings", "tts": "tts"}.get(event.kind, "completions"),
        "model": event.model,
        "provider_name": event.provider or None,
        "created_at": event.occurred_at,
        "total_cost": event.charge,
        "usage": event.charge,
        "cache_discount": None,
        "upstream_inference_cost": event.byok_cost,
        "is_byok": event.is_byok,
        "streamed": bool(facts.get("streamed")),
        "cancelled": event.status == "cancelled",
        "finish_reason": finish,
        "native_finish_reason": finish,
        "service_tier": event.derivation.get("computed", {}).get("service_tier"),
        "tokens_prompt": event.prompt_tokens,
        "tokens_completion": event.completion_tokens,
        "native_tokens_prompt": event.prompt_tokens,
        "native_tokens_completion": event.completion_tokens,
        "native_tokens_completion_images": None,
        "native_tokens_cached": event.cached_tokens,
        "native_tokens_reasoning": event.reasoning_tokens,
        "num_media_prompt": None,
        "num_media_completion": None,
        "num_input_audio_prompt": None,
        "num_search_results": None,
        "num_fetches": None,
        "web_search_engine": None,
        "latency": facts.get("first_byte_ms", event.latency_ms),
        "generation_time": event.latency_ms,
        "moderation_latency": None,
        "external_user": None,
        "session_id": None,
        "http_referer": None,
        "user_agent": None,
        "origin": "",
        "app_id": None,
        "preset_id": None,
        "router": None,
        "data_region": "global",
        "workspace_id": None,
        "response_cache_source_id": None,
        "provider_responses": None,
        "farebox": {
            "event_id": str(event.id),
            "charge": to_wire(event.charge),
            "provider_cost": to_wire(event.provider_cost),
            "markup": to_wire(event.markup),
            "status": event.status,
            "attempts": facts.get("attempts"),
            "explanation": f"/api/v1/metering/events/{event.id}/explain",
        },
    }
