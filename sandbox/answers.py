"""The JSON of an answer: usage, whole bodies, and what the answer faults do to them."""

from typing import Any

from sandbox.call import Bill, Call
from sandbox.clock import iso
from sandbox.money import EXACT, ZERO, number
from sandbox.records import Generation
from sandbox.wire import JSON_TYPE, Header

ERROR_MESSAGE = "Provider disconnected unexpectedly"


def headers_of(call: Call, content_type: Header = JSON_TYPE) -> list[Header]:
    """What every inference answer starts with; the id comes with the headers, before any byte of the body."""
    return [content_type, (b"x-generation-id", call.id.encode())]


def usage_of(call: Call, bill: Bill) -> dict[str, Any]:
    """The ``usage`` object as billed."""
    made, cost = bill.generation, bill.cost
    usage: dict[str, Any] = {
        "prompt_tokens": made.prompt,
        "completion_tokens": made.completion,
        "total_tokens": made.prompt + made.completion,
        "cost": number(made.cost),
        "is_byok": made.byok,
        "prompt_tokens_details": {
            "cached_tokens": made.cached,
            "cache_write_tokens": made.written,
            "audio_tokens": 0 if bill.generation.cache_source else call.plan.used.audio,
            "video_tokens": 0,
        },
        "cost_details": {
            "upstream_inference_cost": number(made.upstream_cost),
            "upstream_inference_prompt_cost": number(cost.prompt_part),
            "upstream_inference_completions_cost": number(cost.output_part),
        },
        "completion_tokens_details": {
            "reasoning_tokens": made.reasoning,
            "image_tokens": 0,
            "audio_tokens": 0,
        },
    }
    if made.searches:
        usage["server_tool_use_details"] = {"web_search_requests": made.searches}
        fee = EXACT.multiply(call.rates.web_search, made.searches)
        usage["cost_details"]["server_tool_cost"] = number(fee)
    return usage


def shown_usage(call: Call, bill: Bill) -> dict[str, Any] | None:
    """The ``usage`` that the client gets to see; None leaves it out."""
    if call.fault == "usage-absent":
        return None
    usage = usage_of(call, bill)
    if call.fault == "cost-absent":
        del usage["cost"], usage["cost_details"]
    elif call.fault == "cost-null":
        usage["cost"] = None
        usage["cost_details"] = None
    elif call.fault == "usage-zero":
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            usage[name] = 0
        usage["cost"] = number(ZERO)
    return usage


def is_insured(call: Call) -> bool:
    """Whether the fault is one after which tokens are not billed."""
    return call.fault in ("choice-error", "sse-error", "sse-error-text-code", "200-error", "usage-zero")


def model_shown(call: Call) -> str:
    """The model an answer names: its id, or with the fault a dated slug that is in no list."""
    if call.fault == "wrong-model":
        return f"{call.model.entry.canonical_slug}-v9"
    return call.model.id


def error_part(code: int | str = 502) -> dict[str, Any]:
    """The ``error`` member of an answer that failed after it had begun."""
    return {
        "code": code,
        "message": ERROR_MESSAGE,
        "metadata": {"error_type": "provider_unavailable", "provider_name": "Sandbox"},
    }


def envelope(call: Call, kind: str) -> dict[str, Any]:
    """The members that every chat answer and chunk share."""
    body: dict[str, Any] = {
        "id": call.id,
        "object": kind,
        "created": int(call.created),
        "model": model_shown(call),
        "provider": call.endpoint.provider,
        "system_fingerprint": None,
    }
    if call.tier is not None:
        body["service_tier"] = call.tier
    if call.fault == "extra-fields":
        body["x_unknown"] = {"nested": [1, 2, {"three": None}]}
    return body


def whole_body(call: Call, bill: Bill) -> dict[str, Any]:
    """The answer to a call without ``stream``."""
    if call.fault == "200-error":
        return {"error": error_part(), "user_id": "user_2sandbox0000000000000000"}
    text_only = call.api == "text"
    body = envelope(call, "text_completion" if text_only else "chat.completion")
    body["choices"] = [_text_choice(call) if text_only else _chat_choice(call)]
    usage = shown_usage(call, bill)
    if usage is not None:
        body["usage"] = usage
    return body


def _chat_choice(call: Call) -> dict[str, Any]:
    plan = call.plan
    message: dict[str, Any] = {
        "role": "assistant",
        "content": plan.text.decode() if plan.tool is None else None,
        "refusal": None,
        "reasoning": plan.thought.decode() if plan.thought else None,
    }
    if plan.thought:
        message["reasoning_details"] = [reasoning_detail(plan.thought)]
    if plan.tool is not None:
        message["tool_calls"] = [tool_call(call)]
    if plan.image is not None:
        message["images"] = [{"type": "image_url", "image_url": {"url": plan.image}, "index": 0}]
    choice = {
        "index": 0,
        "finish_reason": plan.finish,
        "native_finish_reason": plan.finish,
        "logprobs": None,
        "message": message,
    }
    if _has_failed(call):
        _fail(call, choice)
        message["content"] = _first_half(plan.text)
    return choice


def _text_choice(call: Call) -> dict[str, Any]:
    plan = call.plan
    choice = {
        "index": 0,
        "finish_reason": plan.finish,
        "native_finish_reason": plan.finish,
        "logprobs": None,
        "text": plan.text.decode(),
    }
    if _has_failed(call):
        _fail(call, choice)
        choice["text"] = _first_half(plan.text)
    return choice


def _has_failed(call: Call) -> bool:
    return call.fault in ("choice-error", "sse-error", "sse-error-text-code")


def _fail(call: Call, choice: dict[str, Any]) -> None:
    choice["finish_reason"] = choice["native_finish_reason"] = "error"
    choice["error"] = error_part("server_error" if call.fault == "sse-error-text-code" else 502)


def _first_half(text: bytes) -> str:
    return text[: len(text) // 8 * 4].decode()


def reasoning_detail(thought: bytes) -> dict[str, Any]:
    """One entry of ``reasoning_details``."""
    return {"type": "reasoning.text", "text": thought.decode(), "format": "unknown", "index": 0}


def tool_call(call: Call) -> dict[str, Any]:
    """The one tool call of an answer."""
    name, arguments = call.plan.tool or ("", "")
    return {
        "index": 0,
        "id": f"call_{call.id[-12:]}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def metadata_of(call: Call, attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """``openrouter_metadata``: how the call was routed."""
    served = {"provider": call.endpoint.provider, "model": call.model.id}
    return {
        "requested": call.requested,
        "strategy": "fallback" if attempts else "direct",
        "region": None,
        "summary": f"available={len(call.model.endpoints)}, selected={call.endpoint.provider}",
        "attempt": len(attempts) + 1,
        "is_byok": call.byok,
        "endpoints": {
            "total": len(call.model.endpoints),
            "available": [
                {"provider": endpoint.provider, "model": call.model.id, "selected": endpoint is call.endpoint}
                for endpoint in call.model.endpoints
            ],
        },
        "attempts": [*attempts, {**served, "status": 200}],
    }


def _money_and_tokens(made: Generation) -> dict[str, Any]:
    return {
        "total_cost": number(made.cost),
        "usage": number(made.cost),
        "cache_discount": None,
        "upstream_inference_cost": number(made.upstream_cost if made.byok else ZERO),
        "is_byok": made.byok,
        "tokens_prompt": made.prompt,
        "tokens_completion": made.completion,
        "native_tokens_prompt": made.prompt,
        "native_tokens_completion": made.completion,
        "native_tokens_completion_images": made.images_out,
        "native_tokens_cached": made.cached,
        "native_tokens_reasoning": made.reasoning,
        "num_media_prompt": made.images,
        "num_media_completion": made.images_out,
        "num_input_audio_prompt": 0,
        "num_search_results": made.searches,
        "num_fetches": 0,
        "web_search_engine": None,
    }


def generation_document(made: Generation, permaslug: str) -> dict[str, Any]:
    """The record that ``GET /generation`` returns."""
    return {
        **_money_and_tokens(made),
        "id": made.id,
        "upstream_id": None,
        "request_id": None,
        "api_type": made.api,
        "model": permaslug,
        "provider_name": made.provider,
        "created_at": iso(made.created),
        "streamed": made.streamed,
        "cancelled": made.cancelled,
        "finish_reason": made.finish,
        "native_finish_reason": made.finish,
        "service_tier": made.tier,
        "latency": made.latency,
        "generation_time": made.generation_time,
        "moderation_latency": None,
        "external_user": made.user,
        "session_id": made.session,
        "http_referer": made.referer,
        "user_agent": made.agent,
        "origin": made.referer or "",
        "app_id": None,
        "preset_id": None,
        "router": "openrouter/auto" if made.requested == "openrouter/auto" else None,
        "data_region": "global",
        "workspace_id": None,
        "response_cache_source_id": made.cache_source,
        "provider_responses": [_provider_response(made, permaslug)],
    }


def _provider_response(made: Generation, permaslug: str) -> dict[str, Any]:
    return {
        "id": None,
        "endpoint_id": made.endpoint,
        "is_byok": made.byok,
        "latency": made.latency,
        "model_permaslug": permaslug,
        "provider_name": made.provider,
        "status": 200,
    }
