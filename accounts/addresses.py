"""The caller's address, told by the connection or by the proxies in front."""

from django.http import HttpRequest

from core.plainsettings import settings


def client_address(peer: str | None, forwarded_for: str | None) -> str | None:
    """The address that the outermost trusted proxy saw; ``peer`` when none is trusted.

    Each proxy appends the address it was called from, so with n trusted proxies the n-th entry from the right
    is genuine and everything left of it is the caller's own claim.
    """
    trusted = settings.TRUSTED_PROXY_COUNT
    if not trusted or not forwarded_for:
        return peer
    seen = [part.strip() for part in forwarded_for.split(",")]
    return seen[-trusted] if len(seen) >= trusted else seen[0]


def address_of_request(request: HttpRequest) -> str | None:
    """The same for a Django request."""
    return client_address(request.META.get("REMOTE_ADDR"), request.META.get("HTTP_X_FORWARDED_FOR"))
