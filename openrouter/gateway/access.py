"""Which provider account and key a call goes out with."""

import hashlib
from dataclasses import dataclass, field
from uuid import UUID

from core.sqlcalls import Query, Row, run
from openrouter.fields import UndecryptableSecret, decrypt_secret
from openrouter.gateway.memo import Memo
from openrouter.models import AccountStatus
from openrouter.upstreams import upstream_for

SUB_KEY, SHARED, OWN = "sub-key", "shared", "own"
# An account in one of these states was stopped on purpose: no other key takes its place.
_STOPPED = (AccountStatus.DISABLED, AccountStatus.DELETED)


@dataclass(frozen=True, slots=True)
class Key:
    """One provider key. ``kind``: the organization's sub-key, our shared key, or the customer's own."""

    kind: str
    secret: str = field(repr=False)
    hash: str
    trouble: str = ""  # why what is stored cannot be read; nothing is called with such a key, nor with another instead


@dataclass(frozen=True, slots=True)
class Access:
    """The keys that an organization's calls may use, and where to. Either key may be missing."""

    base_url: str
    ours: Key | None
    own: Key | None
    is_coming: bool = False  # ours is being made at this moment, and there is none in its place


# Both kinds of key, of many organizations at once; absent ones are null.
ACCESS_OF_ORGANIZATIONS = """
SELECT organization.id, account.status, account.secret, account.hash, own.secret, own.hash
FROM unnest($1::uuid[]) AS organization (id)
LEFT JOIN openrouter_provideraccount AS account ON account.organization_id = organization.id
LEFT JOIN openrouter_byokcredential AS own ON own.organization_id = organization.id AND own.is_enabled
"""


def read_access(place: tuple[UUID, str]) -> Access:
    """The keys of an organization in a mode ("live" or "test")."""
    organization_id, mode = place
    [row] = run(Query(ACCESS_OF_ORGANIZATIONS, ([organization_id],)))
    return access_of(row, mode)


def access_of(row: Row, mode: str) -> Access:
    """The keys that a row of ACCESS_OF_ORGANIZATIONS names."""
    _, status, secret, key_hash, own_secret, own_hash = row
    upstream = upstream_for(mode)
    ours = _ours(status, secret, key_hash, upstream.api_key)
    return Access(
        base_url=upstream.base_url,
        ours=ours,
        own=_key(OWN, own_secret, own_hash) if own_secret else None,
        is_coming=ours is None and status == AccountStatus.PENDING and upstream.is_manageable,
    )


def _ours(status: str | None, secret: str, key_hash: str, shared: str) -> Key | None:
    if status == AccountStatus.ACTIVE and secret:
        return _key(SUB_KEY, secret, key_hash)
    if status in _STOPPED:
        return None
    return Key(SHARED, shared, hash_of_key(shared)) if shared else None


def _key(kind: str, stored: str, key_hash: str) -> Key:
    try:
        secret = decrypt_secret(stored)
    except UndecryptableSecret as error:
        return Key(kind, "", key_hash, str(error))
    return Key(kind, secret, key_hash or hash_of_key(secret))


def hash_of_key(secret: str) -> str:
    """How the provider names a key: the SHA-256 of the key string, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


access: Memo[tuple[UUID, str], Access] = Memo(read_access)
