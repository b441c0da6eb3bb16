"""Which windows a caller's request must fit into."""

from django.conf import settings

from accounts.principal import Principal
from accounts.ratelimits.windows import Bucket
from core.ids import text_of_id


def gateway_buckets(
    principal: Principal, *, requests_per_minute: int, tokens_per_minute: int, tokens: int
) -> list[Bucket]:
    """Windows of a gateway call that may use ``tokens``: the tier's for the organization, and the key's own."""
    owner = "ratelimit:" + text_of_id(principal.organization_id)
    return [
        Bucket(f"{owner}:requests", "requests", "requests", requests_per_minute),
        Bucket(f"{owner}:tokens", "tokens", "tokens", tokens_per_minute, tokens),
        *_own_requests(principal),
        *_own_tokens(principal, tokens),
    ]


def api_buckets(principal: Principal, surface: str) -> list[Bucket]:
    """Windows of a REST request: the surface's for the organization (``settings.RATE_LIMITS``), and the key's own."""
    if principal.api_key_id is None:
        owner = f"ratelimit:user:{principal.user_id}"
        return [Bucket(owner, "session", "requests", settings.RATE_LIMITS["session"])]
    owner = f"ratelimit:{principal.organization_id}:{surface}"
    return [Bucket(owner, surface, "requests", settings.RATE_LIMITS[surface]), *_own_requests(principal)]


def anonymous_buckets(address: str | None) -> list[Bucket]:
    """Window of a request without credentials, by address."""
    limit = settings.RATE_LIMITS["anonymous"]
    return [Bucket(f"ratelimit:address:{address}", "anonymous", "requests", limit)]


def _own_requests(principal: Principal) -> list[Bucket]:
    """The key's own requests per minute, over gateway and REST together."""
    if principal.requests_per_minute is None:
        return []
    key = f"ratelimit:key:{principal.api_key_id}:requests"
    return [Bucket(key, "key-requests", "requests", principal.requests_per_minute)]


def _own_tokens(principal: Principal, tokens: int) -> list[Bucket]:
    if principal.tokens_per_minute is None:
        return []
    key = f"ratelimit:key:{principal.api_key_id}:tokens"
    return [Bucket(key, "key-tokens", "tokens", principal.tokens_per_minute, tokens)]
