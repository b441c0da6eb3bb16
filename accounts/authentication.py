"""How the REST API learns who is asking: an API key, or the session of a logged-in member."""

from typing import Any

from django.http import QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts.addresses import address_of_request
from accounts.directory import authenticate_key
from accounts.errors import ImpersonationReadsOnly, InvalidApiKey, NoOrganization, OrganizationSuspended
from accounts.impersonation import impersonation_of
from accounts.models import Membership, Organization, User
from accounts.principal import Principal
from accounts.scopes import scopes_of_role
from accounts.selection import selected_place


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization:

    Bearer fbx_live_…``. ``request.auth`` becomes the key's Principal, ``request.user`` None.
    """

    def authenticate(self, request: Request) -> tuple[None, Principal] | None:
        """None when no bearer token was sent."""
        secret = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if secret is None:
            return None
        address = address_of_request(request._request)
        return None, authenticate_key(secret, at=timezone.now(), ip=address)

    def authenticate_header(self, request: Request) -> str:
        """Makes a missing key a 401 with a challenge."""
        return 'Bearer realm="farebox"'


class MemberSessionAuthentication(SessionAuthentication):
    """A logged-in person acting for the selected organization with their role's scopes; CSRF enforced."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """None without a session. Raises NoOrganization, OrganizationSuspended, ImpersonationReadsOnly."""
        found = super().authenticate(request)
        if found is None:
            return None
        if request.method not in SAFE_METHODS and impersonation_of(request._request) is not None:
            raise ImpersonationReadsOnly()
        place = selected_place(request._request)
        if place is None:
            raise NoOrganization()
        if place[0].is_suspended:
            raise OrganizationSuspended()
        return found[0], principal_of_member(*place)

    def enforce_csrf(self, request: Request) -> None:
        """By the header alone: to look for the token in the body would read it, which views take as it came."""
        http = request._request
        if not hasattr(http, "_post"):
            http._post, http._files = QueryDict(), MultiValueDict()  # type: ignore[attr-defined]
        super().enforce_csrf(http)  # type: ignore[arg-type]


def bearer_token(header: str) -> str | None:
    """The token of an ``Authorization`` header; None when the header is absent.

    Raises InvalidApiKey for any other scheme: somebody who sends credentials must not be served as somebody
    else.
    """
    if not header:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidApiKey("Send the key as: Authorization: Bearer fbx_live_…")
    return token.strip()


def principal_of_member(organization: Organization, membership: Membership) -> Principal:
    """What a member may do for ``organization`` in a browser."""
    return Principal(
        organization_id=organization.id,
        mode=organization.mode,
        scopes=scopes_of_role(membership.role),
        actor=membership.user.email,
        member_id=membership.id,
        user_id=membership.user_id,
        team_id=membership.team_id,
        department_id=membership.team.department_id if membership.team else None,
    )


class _ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """The scheme as the OpenAPI document names it."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "fbx_live_… or fbx_test_…",
            "description": "An API key of your organization. Keys are shown once, when they are made.",
        }


class _MemberSessionScheme(OpenApiAuthenticationExtension):
    target_class = MemberSessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """The scheme as the OpenAPI document names it."""
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The browser session of a member; writes also need the CSRF token.",
        }
