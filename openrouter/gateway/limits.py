"""Rate limits of a call: requests and tokens of the organization and of the key, and a fair share of free models."""

from accounts.errors import RateLimited
from accounts.ratelimits import Bucket, Decision, gateway_buckets, rate_limit_headers, take_async
from openrouter.gateway.call import Call
from openrouter.gateway.estimate import do_without_fallbacks

_BYTES_PER_TOKEN = 4
_LIKELY_OUTPUT = 512
_FREE = "free-requests"


async def take_limits(call: Call) -> Decision:
    """Count the call. Raises RateLimited when a window is full."""
    terms = call.terms
    buckets = gateway_buckets(
        call.principal,
        requests_per_minute=terms.requests_per_minute,
        tokens_per_minute=terms.tokens_per_minute,
        tokens=len(call.body.raw) // _BYTES_PER_TOKEN + min(call.ticket.output_cap or 0, _LIKELY_OUTPUT),
    )
    may_be_free = any(candidate.is_free for candidate in call.candidates) and not call.uses_own_key
    if may_be_free:
        # The provider's quota for free models belongs to all our customers together. Whichever place such a model has
        # among the candidates, the call may come out of it.
        key = f"ratelimit:{call.ticket.organization_id}:free"
        buckets.append(Bucket(key, _FREE, "requests", terms.free_requests_per_minute))
    decision = await take_async(buckets)
    if decision.admitted:
        return decision
    if _full(decision) == [_FREE] and not call.first.is_free and do_without_fallbacks(call):
        return await take_limits(call)
    raise too_many(decision)


def _full(decision: Decision) -> list[str]:
    return [state.bucket.policy for state in decision.states if state.retry_ms]


def too_many(decision: Decision) -> RateLimited:
    """The refusal that tells which limits are full, and when to come back."""
    full = _full(decision)
    error = RateLimited(f"Rate limit reached ({', '.join(full)}). Try again in {decision.retry_after} s.", limits=full)
    error.retry_after = decision.retry_after
    error.headers = rate_limit_headers(decision)  # type: ignore[attr-defined]
    return error
