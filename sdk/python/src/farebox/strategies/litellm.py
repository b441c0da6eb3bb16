"""LiteLLM, metered by its callbacks, in programs and in its proxy.

    litellm.callbacks = [FareboxLogger(Meter(recorder))]

The customer of a call is its ``user``, or ``metadata["external_customer_id"]``.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from farebox.strategies.openai import usage_of
from farebox.strategies.usage import LlmUsage, Meter


class FareboxLogger(CustomLogger):
    """Reports every successful call, streamed or not, once."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A sync call has answered."""
        if not kwargs.get("litellm_params", {}).get("acompletion"):
            self._report(kwargs, response_obj)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """An async call has answered."""
        self._report(kwargs, response_obj)

    def _report(self, kwargs: dict[str, Any], answer: Any) -> None:
        vendor = str(kwargs.get("custom_llm_provider") or "litellm")
        usage = usage_of(answer, vendor) or LlmUsage(vendor, "")
        usage = replace(usage, model=usage.model or str(kwargs.get("model", "")))
        metadata = {}
        if (cost := kwargs.get("response_cost")) is not None:
            metadata["_cost"] = {"amount": format(Decimal(str(cost)) * 100, "f"), "currency": "usd"}  # cents
        replace(self._meter, customer=_customer(kwargs) or self._meter.customer).record(usage, metadata=metadata)


def _customer(kwargs: dict[str, Any]) -> str | None:
    metadata = kwargs.get("litellm_params", {}).get("metadata") or {}
    user = metadata.get("external_customer_id") or kwargs.get("user") or kwargs.get("optional_params", {}).get("user")
    return str(user) if user else None
