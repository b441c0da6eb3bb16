"""What a token may do on the wire, in the words of its clients, and which scopes of ours amount to it.

A key with native scopes works as an access token: reading usage reads events and meters, reading credits reads what was
sold, and ``admin`` does everything. A token made on the wire keeps the wire's own scopes and has no native ones.
"""

from collections.abc import Iterable

from accounts.scopes import WIRE_SCOPES, Scope

READ_USAGE = frozenset({"events:read", "meters:read", "customers:read", "customer_meters:read", "organizations:read"})
WRITE_USAGE = frozenset({"events:write"})
READ_SALES = frozenset(
    {
        *("products:read", "benefits:read", "checkouts:read", "orders:read", "subscriptions:read"),
        "refunds:read",
        *("customers:read", "customer_meters:read", "organizations:read"),
    }
)
_NATIVE: dict[str, frozenset[str]] = {
    Scope.USAGE_READ: READ_USAGE,
    Scope.USAGE_WRITE: WRITE_USAGE,
    Scope.CREDITS_READ: READ_SALES,
    Scope.ADMIN: WIRE_SCOPES,
}


def wire_scopes_of(scopes: Iterable[str]) -> frozenset[str]:
    """Everything that a key with ``scopes`` may do on the wire."""
    held = frozenset(scopes)
    return (held & WIRE_SCOPES).union(*(_NATIVE.get(scope, frozenset()) for scope in held))
