"""Requests and tokens per minute, counted in Redis for all processes together.

A limit only refuses early: the wallet is what guards money. So when Redis cannot be asked, calls are admitted and the
outage is logged once.
"""

from accounts.ratelimits.headers import rate_limit_headers
from accounts.ratelimits.limiter import correct_async, take, take_async
from accounts.ratelimits.policy import gateway_buckets
from accounts.ratelimits.throttle import KeyRateThrottle
from accounts.ratelimits.windows import Bucket, Decision

__all__ = [
    "Bucket",
    "Decision",
    "KeyRateThrottle",
    "correct_async",
    "gateway_buckets",
    "rate_limit_headers",
    "take",
    "take_async",
]
