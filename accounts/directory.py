"""From a presented secret to a Principal, fast: the first step of every API and gateway call.

A record is kept in the process for less than a second, so a revoked key, a suspended organization or a
changed limit takes effect within a second everywhere, and a busy key costs one query a second and process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from accounts.actors import key_actor
from accounts.errors import ApiKeyExpired, ApiKeyRevoked, InvalidApiKey, IpNotAllowed, OrganizationSuspended
from accounts.key_secrets import digest_of, looks_like_secret
from accounts.principal import Principal
from accounts.scopes import effective_scopes
from core.singleflight import SingleFlight
from core.ttlcache import TtlCache

CACHE_SECONDS = 0.8
USE_IS_NOTED_EVERY = timedelta(minutes=1)

Row = Sequence[Any]

_KEY = """
SELECT key.id, key.organization_id, organization.mode, key.member_id, key.scopes, key.allowed_models,
       key.allowed_networks, key.requests_per_minute, key.tokens_per_minute, key.spend_limit,
       key.spend_limit_id, key.expires_at, key.revoked_at, organization.is_suspended, key.prefix,
       key.last_used_at, key.member_id IS NULL OR EXISTS ( SELECT 1 FROM accounts_user AS person
       WHERE person.id = member.user_id AND person.is_active ), team.id, team.department_id{}
FROM accounts_apikey AS key
JOIN accounts_organization AS organization ON organization.id = key.organization_id
LEFT JOIN accounts_membership AS member ON member.id = key.member_id
LEFT JOIN accounts_team AS team ON team.id = coalesce(key.team_id, member.team_id)
WHERE key.digest = {}
"""
KEY_BY_DIGEST = _KEY.format("", "%s")
# The same of many keys at once, for whoever gathers questions: their digest is the last column.
KEYS_BY_DIGEST = _KEY.format(", key.digest", "ANY ($1::text[])")

_NOTE_USE = """
UPDATE accounts_apikey SET last_used_at = %(at)s
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < %(at)s - interval '1 minute')
"""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the database says of a key; whether it may be used is decided anew at each call."""

    principal: Principal
    revoked_at: datetime | None
    is_suspended: bool
    member_is_active: bool
    last_used_at: datetime | None

    def use_is_unnoted(self, at: datetime) -> bool:
        """Whether the last noted use is so old that this one should be noted."""
        return self.last_used_at is None or at - self.last_used_at > USE_IS_NOTED_EVERY


_known: TtlCache[str, KeyRecord] = TtlCache(seconds=CACHE_SECONDS, size=50_000)
# Secrets that do not exist are remembered apart, so that guessing never pushes real keys out.
_unknown: TtlCache[str, None] = TtlCache(seconds=CACHE_SECONDS, size=5_000)
_asking: SingleFlight[str, KeyRecord | None] = SingleFlight()


def authenticate_key(secret: str, *, at: datetime, ip: str | None = None) -> Principal:
    """Whom ``secret`` stands for at ``at``, called from address ``ip``.

    Raises InvalidApiKey, ApiKeyRevoked, ApiKeyExpired, OrganizationSuspended or IpNotAllowed.
    """
    digest = _digest(secret)
    try:
        record = _cached(digest)
    except KeyError:
        record = _remember(digest, fetch_key(digest))
        _note_use_if_due(record, at)
    return _admit(record, at, ip)


async def authenticate_key_async(
    secret: str,
    *,
    at: datetime,
    ip: str | None = None,
    fetch: Callable[[str], Awaitable[Row | None]] | None = None,
) -> Principal:
    """The same for the event loop: no await on a cache hit, one query for all callers waiting on the same
    key.

    ``fetch`` answers KEY_BY_DIGEST on the caller's own connections; without it a thread does.
    """
    digest = _digest(secret)
    try:
        record = _cached(digest)
    except KeyError:
        record = await _asking.ask(digest, partial(_fetch_and_remember, digest, fetch or _fetch_in_thread, at))
    return _admit(record, at, ip)


def fetch_key(digest: str) -> Row | None:
    """The row of KEY_BY_DIGEST, None when there is no such key."""
    with connection.cursor() as cursor:
        cursor.execute(KEY_BY_DIGEST, [digest])
        return cursor.fetchone()


def note_use(key_id: Any, at: datetime) -> None:
    """Note that the key was used; writes at most once a minute."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_USE, {"id": key_id, "at": at})


def forget_keys() -> None:
    """Empty the caches of this process, so that a change made here is seen here at once."""
    _known.clear()
    _unknown.clear()


def _digest(secret: str) -> str:
    if not looks_like_secret(secret):
        raise InvalidApiKey()
    return digest_of(secret)


def _cached(digest: str) -> KeyRecord | None:
    """The fresh record, None for a secret known not to exist.

    Raises KeyError when the database must be asked.
    """
    try:
        return _known.get(digest)
    except KeyError:
        return _unknown.get(digest)


def _remember(digest: str, row: Row | None) -> KeyRecord | None:
    if row is None:
        _unknown.put(digest, None)
        return None
    record = _record_of(row)
    _known.put(digest, record)
    return record


def _note_use_if_due(record: KeyRecord | None, at: datetime) -> None:
    if record is not None and record.use_is_unnoted(at):
        note_use(record.principal.api_key_id, at)


async def _fetch_and_remember(
    digest: str, fetch: Callable[[str], Awaitable[Row | None]], at: datetime
) -> KeyRecord | None:
    record = _remember(digest, await fetch(digest))
    if record is not None and record.use_is_unnoted(at):
        _in_background(_note_use_in_thread(record.principal.api_key_id, at))
    return record


_background: set["asyncio.Task[None]"] = set()


def _in_background(work: Any) -> None:
    """Run ``work`` without making the caller wait; the set keeps it from being collected half-way."""
    task = asyncio.ensure_future(work)
    _background.add(task)
    task.add_done_callback(_background.discard)


def _with_own_connection(function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function`` in a worker thread and hand its connection back to the pool."""
    try:
        return function(*args)
    finally:
        connection.close()


async def _fetch_in_thread(digest: str) -> Row | None:
    return await sync_to_async(_with_own_connection, thread_sensitive=False)(fetch_key, digest)


async def _note_use_in_thread(key_id: Any, at: datetime) -> None:
    await sync_to_async(_with_own_connection, thread_sensitive=False)(note_use, key_id, at)


def _record_of(row: Row) -> KeyRecord:
    (key_id, organization_id, mode, member_id, scopes, models, networks) = row[:7]
    (requests, tokens, spend_limit, spend_limit_id, expires_at, revoked_at) = row[7:13]
    (is_suspended, prefix, last_used_at, member_is_active, team_id, department_id) = row[13:]
    principal = Principal(
        organization_id=organization_id,
        mode=mode,
        scopes=effective_scopes(scopes),
        actor=key_actor(prefix),
        api_key_id=key_id,
        key_line_id=spend_limit_id,
        member_id=member_id,
        team_id=team_id,
        department_id=department_id,
        allowed_models=frozenset(models),
        allowed_networks=tuple(ip_network(network, strict=False) for network in networks),
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        spend_limit=spend_limit,
        spend_limit_id=spend_limit_id if spend_limit is not None else None,
        expires_at=expires_at,
    )
    return KeyRecord(principal, revoked_at, is_suspended, member_is_active, last_used_at)


def _admit(record: KeyRecord | None, at: datetime, ip: str | None) -> Principal:
    if record is None:
        raise InvalidApiKey()
    principal = record.principal
    if _has_ended(record.revoked_at, at) or not record.member_is_active:
        raise ApiKeyRevoked()
    if _has_ended(principal.expires_at, at):
        raise ApiKeyExpired()
    if record.is_suspended:
        raise OrganizationSuspended()
    if principal.allowed_networks and not _is_in(ip, principal.allowed_networks):
        raise IpNotAllowed(address=ip)
    return principal


def _has_ended(end: datetime | None, at: datetime) -> bool:
    return end is not None and end <= at


def _is_in(ip: str | None, networks: Sequence[Any]) -> bool:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return False
    # A dual-stack listener reports IPv4 callers as ::ffff:a.b.c.d.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)
