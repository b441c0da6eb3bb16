"""Who calls: the token of a request, what it may do, and how often."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from accounts.addresses import address_of_request
from accounts.authentication import bearer_token
from accounts.directory import authenticate_key
from accounts.principal import Actor, Principal
from accounts.ratelimits import take
from accounts.ratelimits.policy import anonymous_buckets, api_buckets
from accounts.ratelimits.throttle import ATTRIBUTE, too_many
from billing_api.errors import Unauthorized, WireRefusal
from billing_api.scopes import wire_scopes_of
from core.errors import DomainError

VERSION_HEADER = "Polar-Version"


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the wire."""

    request: HttpRequest
    at: datetime
    is_sandbox: bool  # asked below /sandbox
    principal: Principal | None  # None where no token is needed

    @property
    def organization_id(self) -> UUID:
        """The merchant: the organization of the token."""
        if self.principal is None:
            raise Unauthorized()
        return self.principal.organization_id

    @property
    def actor(self) -> Actor:
        """Who acts, with what they may hand out."""
        if self.principal is None:
            return Actor("customer")
        scopes = self.principal.scopes | wire_scopes_of(self.principal.scopes)
        return Actor(self.principal.actor, self.principal.user_id, scopes)

    @property
    def speaks_versions(self) -> bool:
        """Whether the client names a version of the interface; those read less than the others."""
        return VERSION_HEADER in self.request.headers

    @property
    def page_url(self) -> str:
        """Where our pages are."""
        return page_url()


def page_url() -> str:
    """Where our pages are; what a request says of its host counts for nothing."""
    return settings.PUBLIC_URL.rstrip("/")


def authenticated(request: HttpRequest, *, at: datetime, is_sandbox: bool) -> Principal:
    """Whom the token stands for. Raises Unauthorized, also for a live token below /sandbox."""
    try:
        secret = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if secret is None:
            raise Unauthorized("Not authenticated")
        principal = authenticate_key(secret, at=at, ip=address_of_request(request))
    except DomainError as refusal:
        if refusal.status == 401:
            raise Unauthorized() from None
        raise
    if is_sandbox and not principal.is_test:
        raise Unauthorized("This is not a sandbox token")
    return principal


def require_scope(principal: Principal, scope: str) -> None:
    """Raise the refusal of a token that lacks ``scope``."""
    if scope not in wire_scopes_of(principal.scopes):
        raise WireRefusal(
            403,
            "InsufficientScope",
            f"This needs the scope {scope}.",
            {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


def count(request: HttpRequest, principal: Principal | None, surface: str) -> None:
    """Count the request against its organization, key or address. Raises RateLimited."""
    buckets = anonymous_buckets(address_of_request(request)) if principal is None else api_buckets(principal, surface)
    decision = take(buckets)
    setattr(request, ATTRIBUTE, decision)
    if not decision.admitted:
        raise too_many(decision)
