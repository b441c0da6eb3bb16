"""Everything that can go wrong, by name.

A fault is asked for by the model ``sandbox/fault-<kind>``, by ``[[fault=<kind>]]`` in a prompt, or through
``POST /_sandbox/faults``. Refusals answer with an error before anything is generated; the other kinds spoil
the transport or the answer itself.
"""

import re
import time
from collections import Counter
from typing import Any

import msgspec

from sandbox.wire import Header, Refusal

_RETRY_SECONDS = 1
_FLAKY = re.compile(r"flaky-(\d{3}(?:-[a-z-]+)?)-(\d{1,3})")


class RefusalKind(msgspec.Struct, frozen=True):
    """An error status with its body."""

    status: int
    message: str
    error_type: str | None = None
    metadata: dict[str, Any] = {}
    retry_after: int | None = None
    fallback: bool = False
    extra: dict[str, Any] = {}
    counted: bool = False  # OpenRouter's own limit, which says in headers how far one is

    def refusal(self) -> Refusal:
        """The error to raise."""
        headers: tuple[Header, ...] = ()
        if self.retry_after is not None:
            headers = ((b"retry-after", str(self.retry_after).encode()),)
        if self.counted:
            headers += rate_limit_headers(20, time.time() + _RETRY_SECONDS)
        return Refusal(
            self.status,
            self.message,
            self.error_type,
            metadata=self.metadata,
            headers=headers,
            fallback=self.fallback,
            extra=self.extra,
        )


def rate_limit_headers(limit: int, reset_at: float) -> tuple[Header, ...]:
    """``X-RateLimit-…`` of a spent limit; the reset, in Unix seconds here, is sent in milliseconds."""
    return (
        (b"x-ratelimit-limit", str(limit).encode()),
        (b"x-ratelimit-remaining", b"0"),
        (b"x-ratelimit-reset", str(int(reset_at * 1000)).encode()),
    )


def _provider(raw: str) -> dict[str, Any]:
    return {"provider_name": "Sandbox", "raw": raw}


_CREDITS = "This request requires more credits, or fewer max_tokens."

REFUSALS: dict[str, RefusalKind] = {
    "400": RefusalKind(400, "Invalid parameter: temperature", "invalid_request"),
    "400-context": RefusalKind(
        400, "This endpoint's maximum context length is exceeded.", "context_length_exceeded", fallback=True
    ),
    "401": RefusalKind(401, "User not found.", "authentication"),
    "402-credits": RefusalKind(
        402, "Insufficient credits.", "payment_required", {"limit_source": "openrouter_credits"}
    ),
    "402-weight": RefusalKind(
        402,
        _CREDITS,
        "payment_required",
        {"limit_source": "openrouter_credits", "reason": "weight_exceeds_budget"},
    ),
    "402-in-flight": RefusalKind(
        402,
        "Too many concurrent requests for your credit balance.",
        "payment_required",
        {"limit_source": "openrouter_in_flight_budget", "reason": "in_flight_budget_exhausted"},
        retry_after=_RETRY_SECONDS,
    ),
    "402-key-limit": RefusalKind(
        402, "Key limit exceeded.", "payment_required", {"limit_source": "openrouter_key_limit"}
    ),
    "403-moderation": RefusalKind(
        403,
        "Input was flagged by moderation.",
        "permission_denied",
        {"reasons": ["violence"], "flagged_input": "…", "provider_name": "Sandbox"},
        fallback=True,
    ),
    "403-key-limit": RefusalKind(
        403, "Key limit exceeded.", "permission_denied", {"limit_source": "openrouter_key_limit"}
    ),
    "403-guardrail": RefusalKind(
        403,
        "Guardrail budget exceeded.",
        "permission_denied",
        {"limit_source": "openrouter_guardrail_budget"},
    ),
    "403-workspace": RefusalKind(
        403,
        "Workspace budget exceeded.",
        "permission_denied",
        {"limit_source": "openrouter_workspace_budget"},
    ),
    "404": RefusalKind(
        404,
        "No endpoints found for this model.",
        "not_found",
        fallback=True,
        extra={"availability": {"code": "no_endpoints", "retryable": False, "fallback_models": []}},
    ),
    "404-free-ended": RefusalKind(
        404,
        "The free variant of this model has ended.",
        "not_found",
        fallback=True,
        extra={"availability": {"code": "free_variant_ended", "retryable": False}},
    ),
    "408": RefusalKind(408, "Request timed out.", "timeout"),
    "409": RefusalKind(409, "Conflict.", "conflict"),
    "413": RefusalKind(413, "Request body is too large.", "payload_too_large"),
    "422": RefusalKind(422, "Unprocessable request.", "unprocessable_entity"),
    "429": RefusalKind(
        429,
        "Provider returned error",
        "rate_limit_exceeded",
        _provider("sandbox is temporarily rate-limited upstream"),
        fallback=True,
    ),
    "429-retry-after": RefusalKind(
        429,
        "Provider returned error",
        "rate_limit_exceeded",
        _provider("sandbox is temporarily rate-limited upstream"),
        retry_after=_RETRY_SECONDS,
        fallback=True,
        extra={"availability": {"code": "capacity_exhausted", "retryable": True, "retry_after": _RETRY_SECONDS}},
    ),
    "429-platform": RefusalKind(
        429,
        "Rate limit exceeded: free-models-per-min.",
        "rate_limit_exceeded",
        fallback=True,
        counted=True,
    ),
    "500": RefusalKind(500, "Internal Server Error", "server", fallback=True),
    "502": RefusalKind(
        502, "Provider returned error", "provider_unavailable", _provider("upstream exploded"), fallback=True
    ),
    "503": RefusalKind(503, "No available provider.", "provider_overloaded", fallback=True),
    "503-retry-after": RefusalKind(
        503, "No available provider.", "provider_overloaded", retry_after=_RETRY_SECONDS, fallback=True
    ),
    "504": RefusalKind(504, "Provider timed out.", "timeout"),
    "524": RefusalKind(524, "Provider timed out.", "timeout"),
    "529": RefusalKind(529, "Provider is overloaded.", "provider_overloaded", fallback=True),
}

# What each of these does to an answer is told in docs/openrouter-sandbox.md.
ANSWERS = (
    # the transport
    "reset",
    "hang",
    "hang-billed",
    "slow-headers",
    "reset-after",
    "502-html",
    "408-billed",
    "524-billed",
    # 200, and still a failure
    "200-error",
    "choice-error",
    "sse-error",
    "sse-error-text-code",
    "cut-before",
    "cut-mid",
    "cut-billed",
    "cut-usage",
    "reset-mid",
    "hang-mid",
    "empty",
    # usage in other shapes
    "usage-absent",
    "cost-absent",
    "cost-null",
    "usage-twice",
    "usage-null",
    "usage-zero",
    "usage-openai",
    "usage-running",
    "no-done",
    # bytes and bodies
    "split",
    "crlf",
    "keepalive",
    "overrun",
    "wrong-model",
    "extra-fields",
    # the generation lookup
    "generation-late",
    "generation-never",
    # BYOK
    "byok-fallback",
)
KINDS = (*REFUSALS, *ANSWERS)
FLAKY_MODELS = tuple(f"flaky-{kind}-{times}" for kind in ("429", "500", "502", "503") for times in (1, 2, 3))


class Forced(msgspec.Struct):
    """A fault ordered through the control endpoint for the next ``times`` matching requests."""

    kind: str
    times: int = 1
    key_hash: str | None = None
    model: str | None = None
    path: str | None = None  # prefix, for example /api/v1/keys


class Faults:
    """Which fault, if any, the next call meets."""

    def __init__(self) -> None:
        self.forced: list[Forced] = []
        self._failures: Counter[tuple[str, str]] = Counter()

    def reset(self) -> None:
        """Forget orders and counts."""
        self.forced.clear()
        self._failures.clear()

    def take(self, *, path: str, key_hash: str | None, model: str | None, named_path: bool = False) -> str | None:
        """Use up one forced fault that fits this request.

        Orders naming a model are met when the model is known; the others when the request arrives. With
        ``named_path`` only orders for this very path count.
        """
        for order in self.forced:
            wanted = path.startswith(order.path) if order.path else not named_path
            if wanted and order.model == model and order.key_hash in (None, key_hash):
                order.times -= 1
                if order.times <= 0:
                    self.forced.remove(order)
                return order.kind
        return None

    def flaky(self, key_hash: str, behaviour: str) -> str | None:
        """For ``flaky-<kind>-<n>``: the kind for n calls of a key, then None once, and so on again."""
        match = _FLAKY.fullmatch(behaviour)
        if match is None:
            return None
        place = (key_hash, behaviour)
        if self._failures[place] >= int(match[2]):
            del self._failures[place]
            return None
        self._failures[place] += 1
        return match[1]


def is_flaky(name: str) -> bool:
    """Whether a name is of the form ``flaky-429-2`` with a known kind."""
    match = _FLAKY.fullmatch(name)
    return match is not None and match[1] in REFUSALS
