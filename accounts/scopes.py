"""What a key or a member may do."""

from django.db import models

from accounts.models import Role


class Scope(models.TextChoices):
    """Permissions that an API key can carry."""

    GATEWAY = "gateway", "Call models through the gateway"
    USAGE_WRITE = "usage:write", "Report usage"
    USAGE_READ = "usage:read", "Read usage"
    CREDITS_READ = "credits:read", "Read balance, lots and transactions"
    CREDITS_WRITE = "credits:write", "Deduct and buy credits, place and settle holds, redeem coupons"
    ADMIN = "admin", "Add and refund credits; manage keys and members, but no owners"


ALL_SCOPES: frozenset[str] = frozenset(Scope.values)

# The words of the usage-billing clients for what a token may do at ``/v1/``; such a token may do nothing else.
WIRE_SCOPES: frozenset[str] = frozenset(
    f"{name}:{right}"
    for name, rights in {
        "organizations": ("read", "write"),
        "organization_access_tokens": ("read", "write"),
        "events": ("read", "write"),
        "meters": ("read", "write"),
        "customers": ("read", "write"),
        "customer_meters": ("read",),
        "customer_sessions": ("write",),
        "products": ("read", "write"),
        "benefits": ("read", "write"),
        "checkouts": ("read", "write"),
        "orders": ("read",),
        "refunds": ("read", "write"),
        "subscriptions": ("read", "write"),
        "webhooks": ("read", "write"),
    }.items()
    for right in rights
)

# Managing people and keys. Never stored on a key: owners and admins have it, and so has a key with ``admin``.
MANAGE = "organization:manage"
# Paying: buying credit, saving cards, redeeming coupons. Never stored on a key: one with ``credits:write`` has it.
BILLING = "organization:billing"
# Any authenticated caller: a view that only needs to know who is asking.
ANY = "any"

_IMPLIED: dict[str, frozenset[str]] = {Scope.ADMIN: frozenset({MANAGE}), Scope.CREDITS_WRITE: frozenset({BILLING})}

# ``admin`` adds money to an organization, so no member has it by role: only an operator hands it out.
_MEMBER_SCOPES = frozenset({Scope.GATEWAY, Scope.USAGE_WRITE, Scope.USAGE_READ, Scope.CREDITS_READ})
_MANAGER_SCOPES = _MEMBER_SCOPES | {Scope.CREDITS_WRITE, MANAGE, BILLING}
_ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(map(str, _MANAGER_SCOPES)),
    Role.ADMIN: frozenset(map(str, _MANAGER_SCOPES)),
    Role.BILLING: frozenset({str(Scope.USAGE_READ), str(Scope.CREDITS_READ), BILLING}),
    Role.MEMBER: frozenset(map(str, _MEMBER_SCOPES)),
    Role.VIEWER: frozenset({str(Scope.USAGE_READ), str(Scope.CREDITS_READ)}),
}


def scopes_of_role(role: str) -> frozenset[str]:
    """What a member with ``role`` may do in a browser session."""
    return _ROLE_SCOPES[role]


def may_make(role: str, other: str) -> bool:
    """Whether a member with ``role`` may make somebody ``other``: who manages anybody but owners, owners anybody."""
    return MANAGE in scopes_of_role(role) and (other != Role.OWNER or role == Role.OWNER)


def scope_for_keys(scope: str) -> str:
    """The scope that gives a key what ``scope`` names: the one that implies it, where no key carries it itself."""
    return next((str(carried) for carried, implied in _IMPLIED.items() if scope in implied), scope)


def effective_scopes(granted: "frozenset[str] | list[str]") -> frozenset[str]:
    """The scopes stored on a key and those that they imply."""
    found = frozenset(granted)
    return found.union(*(_IMPLIED.get(scope, frozenset()) for scope in found))
