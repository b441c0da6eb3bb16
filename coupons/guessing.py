"""How many codes somebody may try.

Every attempt counts, right or wrong, against the key (or person), its organization and the address. Operators' keys are
not counted: they may list all codes. While the counters cannot be asked no code is tried, since nothing else guards a
code that can be guessed.
"""

from django.conf import settings

from accounts.principal import Principal
from accounts.ratelimits import Bucket, take
from accounts.ratelimits.throttle import too_many
from accounts.scopes import Scope
from core.errors import Unavailable

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
# How many keys of one organization, and organizations of one address (an office), try codes at the same time.
_ORGANIZATION, _ADDRESS = 2, 3


def count_attempt(principal: Principal, address: str | None) -> None:
    """Count one attempt. Raises RateLimited with the time to come back, Unavailable."""
    if may_see_reasons(principal):
        return
    decision = take(attempt_buckets(principal, address))
    if not decision.states:
        raise Unavailable("Codes cannot be checked just now.")
    if not decision.admitted:
        raise too_many(decision)


def may_see_reasons(principal: Principal) -> bool:
    """Whether the caller is an operator's: told why a code cannot be redeemed, and not counted."""
    return principal.has_scope(Scope.ADMIN)


def attempt_buckets(principal: Principal, address: str | None) -> list[Bucket]:
    """The windows that an attempt must fit into."""
    caller = principal.api_key_id or f"user-{principal.user_id}"
    owners = (
        ("key", str(caller), 1),
        ("organization", str(principal.organization_id), _ORGANIZATION),
        ("address", str(address), _ADDRESS),
    )
    return [
        Bucket(f"coupons:{kind}:{owner}:{window}", f"coupon-{kind}", "requests", limit * share, window_ms=window)
        for kind, owner, share in owners
        for window, limit in (
            (_MINUTE_MS, settings.COUPON_ATTEMPTS_PER_MINUTE),
            (_DAY_MS, settings.COUPON_ATTEMPTS_PER_DAY),
        )
    ]
