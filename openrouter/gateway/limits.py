"""Rate limits of a call: requests and tokens of the organization and of the key, and a fair share of free models."""

from accounts.errors import RateLimited
from accounts.ratelimits import Bucket, Decision, gateway_buckets, rate_limit_headers, take_async
from openrouter.gateway.call import Call

_BYTES_PER_TOKEN = 4
_LIKELY_OUTPUT = 512


async def take_limits(call: Call) -> Decision:
    """Count the call. Raises RateLimited when a window is full."""
    terms = call.terms
    buckets = gateway_buckets(
        call.principal,
        requests_per_minute=terms.requests_per_minute,
        tokens_per_minute=terms.tokens_per_minute,
        tokens=len(call.body.raw) // _BYTES_PER_TOKEN + min(call.ticket.output_cap or 0, _LIKELY_OUTPUT),
    )
    if call.first.is_free and not call.uses_own_key:
        # The provider's quota for free models belongs to all our customers together.
        key = f"ratelimit:{call.ticket.organization_id}:free"
        buckets.append(Bucket(key, "free-requests", "requests", terms.free_requests_per_minute))
    decision = await take_async(buckets)
    if not decision.admitted:
        raise too_many(decision)
    return decision


def too_many(decision: Decision) -> RateLimited:
    """The refusal that tells which limits are full, and when to come back."""
    full = [state.bucket.policy for state in decision.states if state.retry_ms]
    error = RateLimited(f"Rate limit reached ({', '.join(full)}). Try again in {decision.retry_after} s.", limits=full)
    error.retry_after = decision.retry_after
    error.headers = rate_limit_headers(decision)  # type: ignore[attr-defined]
    return error
