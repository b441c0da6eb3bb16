"""Which provider account and key a call goes out with."""

import hashlib
from dataclasses import dataclass, field
from uuid import UUID

from openrouter.gateway.memo import Memo
from openrouter.models import AccountStatus, ByokCredential, ProviderAccount
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


@dataclass(frozen=True, slots=True)
class Access:
    """The keys that an organization's calls may use, and where to. Either key may be missing."""

    base_url: str
    ours: Key | None
    own: Key | None


def read_access(place: tuple[UUID, str]) -> Access:
    """The keys of an organization in a mode ("live" or "test")."""
    organization_id, mode = place
    upstream = upstream_for(mode)
    account = ProviderAccount.objects.filter(organization_id=organization_id).first()
    own = ByokCredential.objects.filter(organization_id=organization_id, is_enabled=True).first()
    return Access(
        base_url=upstream.base_url,
        ours=_ours(account, upstream.api_key),
        own=None if own is None else Key(OWN, own.secret, own.hash or hash_of_key(own.secret)),
    )


def _ours(account: ProviderAccount | None, shared: str) -> Key | None:
    if account is not None:
        if account.status == AccountStatus.ACTIVE and account.secret:
            return Key(SUB_KEY, account.secret, account.hash or hash_of_key(account.secret))
        if account.status in _STOPPED:
            return None
    return Key(SHARED, shared, hash_of_key(shared)) if shared else None


def hash_of_key(secret: str) -> str:
    """How the provider names a key: the SHA-256 of the key string, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


access: Memo[tuple[UUID, str], Access] = Memo(read_access)
