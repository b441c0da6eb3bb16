"""Telling clients how much room is left.

``RateLimit-Policy`` and ``RateLimit`` follow the IETF draft (draft-ietf-httpapi-ratelimit-headers-11); the
``x-ratelimit-*`` headers are the ones that OpenAI's SDKs read.
"""

from functools import lru_cache

from accounts.ratelimits.windows import BucketState, Decision


def rate_limit_headers(decision: Decision) -> dict[str, str]:
    """Headers for the answer to a counted call; none when nothing was counted."""
    if not decision.states:
        return {}
    headers = {
        "RateLimit-Policy": ", ".join(map(_policy, decision.states)),
        "RateLimit": ", ".join(map(_room, decision.states)),
    }
    for unit in ("requests", "tokens"):
        if (state := decision.tightest(unit)) is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(state.bucket.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(state.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = duration(state.reset_ms)
    if not decision.admitted:
        headers["Retry-After"] = str(decision.retry_after)
    return headers


def duration(milliseconds: int) -> str:
    """Go-style text as OpenAI sends it: ``850ms``, ``12.5s``, ``1m5s``."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:g}"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _policy(state: BucketState) -> str:
    bucket = state.bucket
    return _policy_text(bucket.policy, bucket.unit, bucket.limit, bucket.window_ms)


@lru_cache(maxsize=1024)
def _policy_text(policy: str, unit: str, limit: int, window_ms: int) -> str:
    counted = "" if unit == "requests" else f';qu="{unit}"'
    return f'"{policy}";q={limit};w={window_ms // 1000}{counted}'


def _room(state: BucketState) -> str:
    return f'"{state.bucket.policy}";r={state.remaining};t={-(-state.reset_ms // 1000)}'
