"""Runs of PydanticAI agents.

result = await agent.run("...")
record_run(result, Meter(recorder, customer="user_42"))
"""

from typing import Any

from farebox.strategies.usage import LlmUsage, Meter, number


def usage_of(result: Any) -> LlmUsage:
    """What all model requests of a finished run used together."""
    usage = result.usage() if callable(result.usage) else result.usage
    model, vendor = _model_of(result)
    return LlmUsage(
        vendor=vendor,
        model=model,
        input_tokens=number(usage, "input_tokens") or number(usage, "request_tokens"),
        output_tokens=number(usage, "output_tokens") or number(usage, "response_tokens"),
        cached_tokens=number(usage, "cache_read_tokens"),
        cache_write_tokens=number(usage, "cache_write_tokens"),
    )


def record_run(result: Any, meter: Meter) -> str:
    """Report a finished run; the id of its event."""
    usage = result.usage() if callable(result.usage) else result.usage
    return meter.record(usage_of(result), requests=number(usage, "requests"), toolCalls=number(usage, "tool_calls"))


def _model_of(result: Any) -> tuple[str, str]:
    """Model and vendor of the last answer in the run."""
    for message in reversed(result.all_messages()):
        if getattr(message, "model_name", None):
            return message.model_name, getattr(message, "provider_name", None) or "pydantic-ai"
    return "", "pydantic-ai"
