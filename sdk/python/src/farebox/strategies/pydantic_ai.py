"""Runs of PydanticAI agents.

result = await agent.run("...")
record_run(result, Meter(recorder, customer="user_42"))
"""

from typing import Any

from farebox.strategies.usage import LlmUsage, Meter, number


def usage_of(result: Any) -> LlmUsage:
    """What all model requests of a finished run used together."""
    usage = _counts_of(result)
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
    usage = _counts_of(result)
    counts = {"requests": number(usage, "requests"), "toolCalls": number(usage, "tool_calls")}
    return meter.record(usage_of(result), metadata=counts)


def _counts_of(result: Any) -> Any:
    """A property of today's results, a method of earlier ones."""
    usage = result.usage
    return usage if hasattr(usage, "input_tokens") or not callable(usage) else usage()


def _model_of(result: Any) -> tuple[str, str]:
    """Model and vendor of the last answer in the run."""
    for message in reversed(result.all_messages()):
        if getattr(message, "model_name", None):
            return message.model_name, getattr(message, "provider_name", None) or "pydantic-ai"
    return "", "pydantic-ai"
