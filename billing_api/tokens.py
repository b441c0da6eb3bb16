"""Organization access tokens: API keys, shown with the scopes of the wire."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from msgspec import Meta

from accounts.models import ApiKey, Organization
from accounts.scopes import WIRE_SCOPES
from accounts.services import KeyTerms, create_api_key, revoke_api_key, terms_of, update_api_key
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import Problem, RequestInvalid, ResourceNotFound, invalid
from billing_api.queries import Page, PageQuery, paginated, sorted_rows
from billing_api.scopes import wire_scopes_of

PATH = "organization-access-tokens/"
_NAME = 80
_SORTED_BY = {"created_at": "created_at", "comment": "name", "last_used_at": "last_used_at"}


class AccessToken(msgspec.Struct, kw_only=True):
    """A token without its secret."""

    id: UUID
    created_at: datetime
    modified_at: None = None
    scopes: list[str]
    expires_at: datetime | None
    comment: str
    last_used_at: datetime | None
    organization_id: UUID


class AccessTokenCreated(msgspec.Struct, kw_only=True):
    """A new token; its secret is shown here and never again."""

    token: str
    organization_access_token: AccessToken


class AccessTokenCreate(msgspec.Struct, kw_only=True):
    """What a new token is for. ``expires_in`` is an ISO 8601 duration of days, hours, minutes and seconds."""

    comment: Annotated[str, Meta(min_length=1, max_length=_NAME)]
    scopes: Annotated[list[str], Meta(min_length=1)]
    expires_in: timedelta | None = None
    organization_id: UUID | None = None


class AccessTokenUpdate(msgspec.Struct, kw_only=True):
    """What to change; what is left out stays."""

    comment: Annotated[str, Meta(min_length=1, max_length=_NAME)] | None = None
    scopes: Annotated[list[str], Meta(min_length=1)] | None = None


def _keys(call: Call) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(organization_id=call.organization_id, revoked_at__isnull=True)


def _shown(key: ApiKey) -> AccessToken:
    return AccessToken(
        id=key.id,
        created_at=key.created_at,
        scopes=sorted(wire_scopes_of(key.scopes)),
        expires_at=key.expires_at,
        comment=key.name,
        last_used_at=key.last_used_at,
        organization_id=key.organization_id,
    )


def _known_scopes(scopes: list[str]) -> tuple[str, ...]:
    unknown = [
        Problem(["body", "scopes", place], "This scope is not served here.", "enum", scope)
        for place, scope in enumerate(scopes)
        if scope not in WIRE_SCOPES
    ]
    if unknown:
        raise RequestInvalid(unknown)
    return tuple(scopes)


@endpoint("GET", PATH, scope="organization_access_tokens:read", query=PageQuery, answer=PageOf(AccessToken))
def list_access_tokens(call: Call, query: PageQuery) -> Page:
    """List the tokens that have not been revoked."""
    keys = _keys(call).none() if query.organization_id not in ([], [call.organization_id]) else _keys(call)
    keys = sorted_rows(keys, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(keys, query, lambda found: list(map(_shown, found)))


@endpoint(
    "POST",
    PATH,
    scope="organization_access_tokens:write",
    status=201,
    body=AccessTokenCreate,
    answer=AccessTokenCreated,
    keeping="never",  # the answer holds a secret
    example={"comment": "Ingestion in production", "scopes": ["events:write", "customers:read"], "expires_in": "P90D"},
)
def create_access_token(call: Call, body: AccessTokenCreate) -> AccessTokenCreated:
    """Make a token. It can do what its scopes name on the wire, and nothing elsewhere."""
    if body.organization_id not in (None, call.organization_id):
        raise invalid(["body", "organization_id"], "Organization not found.", "organization_id")
    expires_at = None if body.expires_in is None else call.at + body.expires_in
    key, secret = create_api_key(
        organization=Organization.objects.get(pk=call.organization_id),
        name=body.comment,
        terms=KeyTerms(scopes=_known_scopes(body.scopes), expires_at=expires_at),
        actor=call.actor,
        at=call.at,
    )
    return AccessTokenCreated(token=secret, organization_access_token=_shown(key))


@endpoint(
    "PATCH",
    f"{PATH}{{id}}",
    scope="organization_access_tokens:write",
    body=AccessTokenUpdate,
    answer=AccessToken,
    example={"comment": "Ingestion, staging"},
)
def update_access_token(call: Call, id: UUID, body: AccessTokenUpdate) -> AccessToken:
    """Change what a token is called or may do."""
    key = _keys(call).filter(id=id).first()
    if key is None:
        raise ResourceNotFound()
    terms = terms_of(key)
    if body.scopes is not None:
        terms = replace(terms, scopes=_known_scopes(body.scopes))
    changed = update_api_key(
        key_id=id,
        organization_id=call.organization_id,
        name=key.name if body.comment is None else body.comment,
        terms=terms,
        actor=call.actor,
        at=call.at,
    )
    return _shown(changed)


@endpoint("DELETE", f"{PATH}{{id}}", scope="organization_access_tokens:write", status=204)
def delete_access_token(call: Call, id: UUID) -> None:
    """Revoke a token; it stops working within a second."""
    if not _keys(call).filter(id=id).exists():
        raise ResourceNotFound()
    revoke_api_key(key_id=id, organization_id=call.organization_id, actor=call.actor, at=call.at)
