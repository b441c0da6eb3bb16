"""What is to become of an organization's sub-key. These functions only decide and write it down, in one transaction.

A decision takes effect at the gateway at once: it uses the key of an ``active`` account only. ``owed`` says what the
provider has still to be told; ``provisioning`` does that. Every decision takes a running worker's claim away, so what
that worker brings back is dropped.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import Organization
from accounts.principal import Actor
from core.errors import NotFound
from openrouter.errors import AccountDisabled, AccountNotActive, NoProviderAccount
from openrouter.models import AccountStatus, Owed, ProviderAccount, RetiredKey
from outbox.services import publish

_FREE = {"claim_id": None, "claimed_until": None, "attempts": 0, "next_attempt_at": None, "last_error": ""}
_LONGEST_NAME = 60


def marker_of(organization_id: UUID) -> str:
    """What the names of all of an organization's sub-keys contain, and of no others: how orphans are recognised."""
    return f"farebox {organization_id}"


def name_of(organization: Organization) -> str:
    """The sub-key's name in the provider's list."""
    return f"{str(organization)[:_LONGEST_NAME].strip()} · {marker_of(organization.id)}"


@transaction.atomic
def open_account(*, organization: Organization, at: datetime) -> ProviderAccount:
    """Note that a new organization needs a sub-key; a worker makes it."""
    account, _ = ProviderAccount.objects.get_or_create(
        organization=organization,
        defaults={"name": name_of(organization), "owed": Owed.CREATE, "created_at": at},
    )
    return account


@transaction.atomic
def request_account(*, organization_id: UUID, actor: Actor, at: datetime) -> ProviderAccount:
    """Ask for a sub-key: also after a failure, at once, and after a deletion. One that exists stays as it is."""
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise NotFound()
    open_account(organization=organization, at=at)
    account = _locked(organization_id, also_deleted=True)
    if account.status in (AccountStatus.DELETED, AccountStatus.FAILED):
        _decide(account, status=AccountStatus.PENDING, owed=Owed.CREATE, deleted_at=None)
        tell(account, "requested", {}, actor, at)
    return account


@transaction.atomic
def rotate_key(*, organization_id: UUID, actor: Actor, at: datetime) -> ProviderAccount:
    """Replace the sub-key by a new one; the old one works until then and is deleted a while after.

    Raises NoProviderAccount, AccountNotActive.
    """
    account = _locked(organization_id)
    if account.status != AccountStatus.ACTIVE:
        raise AccountNotActive()
    _decide(account, owed=Owed.CREATE)
    tell(account, "rotation_requested", {"label": account.label}, actor, at)
    return account


@transaction.atomic
def disable_account(*, organization_id: UUID, reason: str, actor: Actor, at: datetime) -> ProviderAccount:
    """Suspend the sub-key. Raises NoProviderAccount."""
    account = _locked(organization_id)
    if account.status != AccountStatus.DISABLED:
        _decide(account, status=AccountStatus.DISABLED, owed=Owed.DISABLE if account.hash else Owed.NOTHING)
        tell(account, "disabled", {"label": account.label, "reason": reason}, actor, at)
    return account


@transaction.atomic
def enable_account(*, organization_id: UUID, actor: Actor, at: datetime) -> ProviderAccount:
    """Let a disabled sub-key work again, once the provider has agreed. Raises NoProviderAccount."""
    account = _locked(organization_id)
    if account.status == AccountStatus.DISABLED:
        _decide(account, status=AccountStatus.PENDING, owed=Owed.ENABLE if account.hash else Owed.CREATE)
        tell(account, "enabled", {"label": account.label}, actor, at)
    return account


@transaction.atomic
def delete_account(
    *, organization_id: UUID, actor: Actor, at: datetime, even_if_disabled: bool = False
) -> ProviderAccount:
    """Give the sub-key up for good; its secret is forgotten here and now.

    A disabled account is deleted by an operator alone: its owner could ask for a new one and undo the suspension.
    Raises NoProviderAccount, AccountDisabled.
    """
    account = _locked(organization_id)
    if account.status == AccountStatus.DISABLED and not even_if_disabled:
        raise AccountDisabled()
    label = account.label
    if account.hash:
        retire(account, reason="deleted", at=at, delete_after=at)
    _decide(account, status=AccountStatus.DELETED, owed=Owed.NOTHING, deleted_at=at, **WITHOUT_KEY)
    tell(account, "deleted", {"label": label}, actor, at)
    return account


WITHOUT_KEY: dict[str, Any] = {"hash": "", "label": "", "secret": "", "spend_limit": None, "limit_remaining": None}


def retire(account: ProviderAccount, *, reason: str, at: datetime, delete_after: datetime) -> RetiredKey:
    """Write down that the account's present key is to be deleted; within the caller's transaction."""
    return RetiredKey.objects.create(
        account=account,
        hash=account.hash,
        label=account.label,
        reason=reason,
        retired_at=at,
        delete_after=delete_after,
        next_attempt_at=delete_after,
    )


def _locked(organization_id: UUID, *, also_deleted: bool = False) -> ProviderAccount:
    accounts = ProviderAccount.objects.select_for_update(of=("self",)).select_related("organization")
    account = accounts.filter(organization_id=organization_id).first()
    if account is None or (account.status == AccountStatus.DELETED and not also_deleted):
        raise NoProviderAccount()
    return account


def _decide(account: ProviderAccount, **changes: Any) -> None:
    for name, value in {**_FREE, **changes}.items():
        setattr(account, name, value)
    account.save(update_fields=[*_FREE, *changes])


def tell(account: ProviderAccount, news: str, data: dict[str, Any], actor: Actor | str, at: datetime) -> None:
    """Publish ``openrouter.account.<news>`` in the caller's transaction; never with a secret."""
    publish(
        type=f"openrouter.account.{news}",
        organization_id=account.organization_id,
        data={"account": account.id, **data},
        actor=actor,
        at=at,
    )
