"""The limits in front of the REST API."""

from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.addresses import address_of_request
from accounts.errors import RateLimited
from accounts.principal import Principal
from accounts.ratelimits.limiter import take
from accounts.ratelimits.policy import anonymous_buckets, api_buckets
from accounts.ratelimits.windows import Decision

# Where the decision waits for the middleware that writes the headers.
ATTRIBUTE = "rate_limit"


class KeyRateThrottle(BaseThrottle):
    """Counts a request against its key, person or address. A view may name its ``rate_surface`` ("api" by default)."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """True, or RateLimited with the time to come back."""
        if isinstance(request.auth, Principal):
            buckets = api_buckets(request.auth, getattr(view, "rate_surface", "api"))
        else:
            buckets = anonymous_buckets(address_of_request(request._request))
        decision = take(buckets)
        setattr(request._request, ATTRIBUTE, decision)
        if not decision.admitted:
            raise too_many(decision)
        return True


def decision_of(request: HttpRequest) -> Decision | None:
    """What was decided for this request, if anything was."""
    return getattr(request, ATTRIBUTE, None)


def too_many(decision: Decision) -> RateLimited:
    """The refusal that tells which limits are full."""
    full = [state.bucket.policy for state in decision.states if state.retry_ms]
    error = RateLimited(f"Try again in {decision.retry_after} s.", limits=full, retry_after=decision.retry_after)
    error.retry_after = decision.retry_after
    return error
