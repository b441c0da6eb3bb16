"""API keys: made, changed, rotated, revoked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import ip_network
from uuid import UUID

from django.db import transaction

from accounts.directory import forget_keys
from accounts.errors import InsufficientScope, KeyNotActive
from accounts.key_secrets import PREFIX_LENGTH, digest_of, new_secret
from accounts.models import ApiKey, Membership, Organization, Team
from accounts.principal import Actor
from accounts.scopes import ALL_SCOPES, WIRE_SCOPES
from accounts.services.organizations import checked_name, tell
from accounts.services.teams import note_placement
from accounts.signals import api_key_saved
from core.errors import InvalidRequest, NotFound
from core.times import utc_text

LONGEST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key may do. Empty lists and None set no limit of the key's own."""

    scopes: tuple[str, ...]
    allowed_models: tuple[str, ...] = ()  # ids as in the catalogue, or "author/*"
    allowed_networks: tuple[str, ...] = ()  # CIDR or single addresses
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    spend_limit: Decimal | None = None  # USD over the life of the key and its successors
    expires_at: datetime | None = None
    member: Membership | None = None
    team: Team | None = None  # what its calls count for; None: the member's team


def terms_of(key: ApiKey) -> KeyTerms:
    """The terms that ``key`` has now."""
    return KeyTerms(
        scopes=tuple(key.scopes),
        allowed_models=tuple(key.allowed_models),
        allowed_networks=tuple(key.allowed_networks),
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
        spend_limit=key.spend_limit,
        expires_at=key.expires_at,
        member=key.member,
        team=key.team,
    )


@transaction.atomic
def create_api_key(
    *, organization: Organization, name: str, terms: KeyTerms, actor: Actor, at: datetime
) -> tuple[ApiKey, str]:
    """A new key and its secret, which exists nowhere else afterwards.

    The organization decides the mode: a test twin's key starts with ``fbx_test_``. Raises InvalidRequest.
    """
    _check(terms, organization, at)
    _guard_scopes(actor, terms.scopes)
    key, secret = _new_key(organization, name, terms, at)
    key.spend_limit_id = key.id
    _save(key, at)
    data = {"api_key": str(key.id), "name": key.name, "scopes": key.scopes}
    tell(organization.id, "api_key.created", data, actor, at)
    return key, secret


@transaction.atomic
def update_api_key(
    *, key_id: UUID, organization_id: UUID, name: str, terms: KeyTerms, actor: Actor, at: datetime
) -> ApiKey:
    """Give an active key another name or other terms; they hold within a second.

    Raises NotFound, KeyNotActive.
    """
    key = _locked(key_id, organization_id)
    if not key.is_active(at):
        raise KeyNotActive()
    _check(terms, key.organization, at)
    _guard_scopes(actor, (*key.scopes, *terms.scopes))
    key.name = _key_name(name)
    _apply(terms, key)
    _save(key, at)
    data = {"api_key": str(key.id), "name": key.name, "scopes": key.scopes}
    tell(organization_id, "api_key.updated", data, actor, at)
    transaction.on_commit(forget_keys)
    return key


@transaction.atomic
def revoke_api_key(*, key_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> ApiKey:
    """End a key now, also one that a rotation lets run on.

    Ending it twice changes nothing. Raises NotFound.
    """
    key = _locked(key_id, organization_id)
    if key.revoked_at is None or key.revoked_at > at:
        key.revoked_at = at
        key.save(update_fields=["revoked_at"])
        tell(organization_id, "api_key.revoked", {"api_key": str(key.id), "name": key.name}, actor, at)
    transaction.on_commit(forget_keys)
    return key


@transaction.atomic
def rotate_api_key(
    *, key_id: UUID, organization_id: UUID, overlap: timedelta, actor: Actor, at: datetime
) -> tuple[ApiKey, str]:
    """A successor with the same terms, and its secret; the old key works until ``at + overlap``.

    Both draw on one spend limit, so a rotation never refills it. Raises NotFound, KeyNotActive,
    InvalidRequest.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidRequest(f"The overlap must be between 0 and {LONGEST_OVERLAP.days} days.")
    old = _locked(key_id, organization_id)
    if old.replaced_by_id is not None or not old.is_active(at):
        raise KeyNotActive()
    _guard_scopes(actor, old.scopes)
    new, secret = _new_key(old.organization, old.name, terms_of(old), at)
    new.spend_limit_id = old.spend_limit_id
    _save(new, at)
    old.replaced_by, old.revoked_at = new, at + overlap
    old.save(update_fields=["replaced_by", "revoked_at"])
    data = {"api_key": str(old.id), "replaced_by": str(new.id), "old_key_ends_at": utc_text(old.revoked_at)}
    tell(organization_id, "api_key.rotated", data, actor, at)
    transaction.on_commit(forget_keys)
    return new, secret


def _new_key(organization: Organization, name: str, terms: KeyTerms, at: datetime) -> tuple[ApiKey, str]:
    secret = new_secret(organization.mode)
    key = ApiKey(
        organization=organization,
        name=_key_name(name),
        prefix=secret[:PREFIX_LENGTH],
        last_four=secret[-4:],
        digest=digest_of(secret),
        created_at=at,
    )
    _apply(terms, key)
    return key, secret


def _guard_scopes(actor: Actor, scopes: Iterable[str]) -> None:
    """Nobody makes, widens or takes over a key that may do more than they may themselves."""
    missing = set() if actor.scopes is None else set(scopes) - actor.scopes
    if missing:
        raise InsufficientScope(
            f"You cannot hand out what you do not have: {', '.join(sorted(missing))}.",
            required_scope=min(missing),
        )


def _key_name(name: str) -> str:
    name = checked_name(name)
    longest = ApiKey._meta.get_field("name").max_length or 0
    if len(name) > longest:
        raise InvalidRequest(f"A key's name has 1 to {longest} characters.")
    return name


def _save(key: ApiKey, at: datetime) -> None:
    key.save()
    live_id = key.organization.live_organization_id or key.organization_id
    note_placement(organization_id=live_id, subject_id=key.id, team=key.team, at=at)
    api_key_saved.send(ApiKey, api_key=key, at=at)


def _locked(key_id: UUID, organization_id: UUID) -> ApiKey:
    """The organization's key, locked. Another organization's key does not exist for the caller."""
    keys = ApiKey.objects.select_related("organization", "member", "team").select_for_update(of=("self",))
    key = keys.filter(id=key_id, organization_id=organization_id).first()
    if key is None:
        raise NotFound()
    return key


def _apply(terms: KeyTerms, key: ApiKey) -> None:
    key.scopes = sorted(set(terms.scopes))
    key.allowed_models = list(terms.allowed_models)
    key.allowed_networks = [str(ip_network(network, strict=False)) for network in terms.allowed_networks]
    key.requests_per_minute = terms.requests_per_minute
    key.tokens_per_minute = terms.tokens_per_minute
    key.spend_limit = terms.spend_limit
    key.expires_at = terms.expires_at
    key.member = terms.member
    key.team = terms.team


def _check(terms: KeyTerms, organization: Organization, at: datetime) -> None:
    problems = dict(_problems(terms, organization, at))
    if problems:
        errors = [{"field": field, "code": "invalid", "detail": why} for field, why in problems.items()]
        raise InvalidRequest("; ".join(problems.values()), errors=errors)


def _problems(terms: KeyTerms, organization: Organization, at: datetime) -> Iterator[tuple[str, str]]:
    unknown = set(terms.scopes) - ALL_SCOPES - WIRE_SCOPES
    if not terms.scopes or unknown:
        yield "scopes", f"Name at least one scope, each one of {', '.join(sorted(ALL_SCOPES))}."
    if terms.expires_at is not None and terms.expires_at <= at:
        yield "expires_at", "The end must be in the future."
    if terms.spend_limit is not None and terms.spend_limit < 0:
        yield "spend_limit", "A spend limit cannot be negative."
    for field in ("requests_per_minute", "tokens_per_minute"):
        if (limit := getattr(terms, field)) is not None and limit < 1:
            yield field, "A limit is at least 1 a minute."
    for network in terms.allowed_networks:
        if not _is_network(network):
            yield "allowed_networks", f"{network[:60]!r} is not an IP address or network."
    live_id = organization.live_organization_id or organization.id
    if terms.member is not None and terms.member.organization_id != live_id:
        yield "member", "The member does not belong to this organization."
    if terms.team is not None and (terms.team.organization_id != live_id or terms.team.archived_at is not None):
        yield "team", "The team does not belong to this organization."


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
