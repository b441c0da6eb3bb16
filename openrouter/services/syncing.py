"""Reading the provider's figures back: one account on demand, a whole provider account regularly."""

from collections.abc import Collection, Container, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.utils import timezone

from core.money import quantize
from openrouter.client import (
    FreeQuota,
    Key,
    OpenRouterClient,
    ProviderError,
    ProviderNotFound,
    ProviderUnauthorized,
    client_for,
)
from openrouter.errors import AccountBusy, AccountNotActive, NoProviderAccount, ProviderNotAvailable
from openrouter.fields import UndecryptableSecret
from openrouter.models import AccountStatus, ProviderAccount, ProviderBalance, RetiredKey
from openrouter.services.claims import claim_account, fail_claim, finish_claim
from openrouter.services.figures import absorb_key, figures_of, lose_key
from openrouter.services.lifecycle import marker_of
from openrouter.services.provisioning import delete_orphans
from openrouter.upstreams import Upstream
from outbox.taskruns import apart, note_problem

log = structlog.get_logger(__name__)

# A key that was made this recently may still be on its way into our books.
_ORPHAN_AGE = timedelta(minutes=30)
# So many keys may be gone from the list whatever share of all of them that is: each is asked for.
FEW = 10


def sync_account(*, organization_id: UUID, at: datetime) -> ProviderAccount:
    """Read balance and usage of one sub-key now.

    Raises NoProviderAccount, AccountNotActive, AccountBusy, ProviderNotAvailable.
    """
    found = ProviderAccount.objects.filter(organization_id=organization_id).first()
    if found is None or found.status == AccountStatus.DELETED:
        raise NoProviderAccount()
    if not found.hash:
        raise AccountNotActive("The account has no key yet; it is being made.")
    account = claim_account(found.id, at=at)
    if account is None:
        raise AccountBusy()
    if not _read(account, at):
        raise AccountNotActive("The key was deleted at OpenRouter; a new one is being made.")
    return ProviderAccount.objects.get(pk=found.id)


def _read(account: ProviderAccount, at: datetime) -> bool:
    """Take in what the provider says; False when it does not know the key."""
    try:
        client = client_for(account.organization.mode)
        key = client.get_key(account.hash)
        quota = _free_quota(client, account)
    except ProviderNotFound:
        lose_key(account, at=at)
        return False
    except ProviderError as error:
        fail_claim(account, error, at=at)
        raise ProviderNotAvailable() from None
    absorb_key(account, key, at=at, **quota)
    return True


def _free_quota(client: OpenRouterClient, account: ProviderAccount) -> dict[str, Any]:
    """Today's calls of free models, which only the key itself is told."""
    try:
        quota: FreeQuota | None = client.own_key(account.secret).free_quota
    except (ProviderUnauthorized, UndecryptableSecret):
        return {}  # disabled or expired, as its figures say; or not ours to read any more, as its calls say
    return {} if quota is None else {"free_requests_limit": quota.limit, "free_requests_used": quota.used}


def sync_upstream(*, upstream: Upstream, at: datetime) -> int:
    """Read every sub-key of a provider account in one pass of its list; how many of ours were in it.

    Accounts whose key is missing there, or cannot be read, are asked for one by one; one that fails keeps no other
    waiting. A list that lacks most of our keys is taken for another account's, or a broken one: then none is given up
    for lost, for that forgets its secret. Keys with one of our markers that are in nobody's books are deleted. Raises
    ProviderError.
    """
    listed = {key.hash: key for key in client_for(upstream).list_keys(leniently=True)}
    accounts = ProviderAccount.objects.in_modes(upstream.modes).exclude(hash="")
    is_strange = _lacks_most(listed, accounts.values_list("hash", flat=True))
    if is_strange:
        note_problem(f"{upstream.name}: the list lacks most of our keys. Is the management key another account's?")
    seen = 0
    for account in accounts.iterator(chunk_size=500):
        with apart("openrouter.account_unread", account.pk):
            if key := listed.get(account.hash):
                seen += _note_figures(account, key, at)
            elif not is_strange:
                _look_again(account, at)
    _delete_unknown(upstream, listed.values(), at)
    return seen


def _lacks_most(listed: Container[str], hashes: Collection[str]) -> bool:
    missing = sum(hash not in listed for hash in hashes)
    return missing > FEW and missing * 2 > len(hashes)


def sync_balance(*, upstream: Upstream, at: datetime) -> ProviderBalance:
    """Read what is left of the credit bought at a provider account. Raises ProviderError."""
    credits = client_for(upstream).credits()
    figures = {"bought": quantize(credits.total_credits), "used": quantize(credits.total_usage), "taken_at": at}
    balance, _ = ProviderBalance.objects.update_or_create(upstream=upstream.name, defaults=figures)
    return balance


def _note_figures(account: ProviderAccount, key: Key, at: datetime) -> bool:
    """Figures alone need no claim: they are written only while the account still has the key they belong to.

    A change of state does: it goes the long way.
    """
    if key.disabled and account.status == AccountStatus.ACTIVE:
        _look_again(account, at)
        return True
    same = ProviderAccount.objects.filter(pk=account.pk, hash=key.hash)
    return bool(same.update(**figures_of(key, at)))


def _look_again(account: ProviderAccount, at: datetime) -> None:
    """The list may be older than a rotation; the key itself decides."""
    claimed = claim_account(account.pk, at=at)
    if claimed is None:
        return
    if claimed.hash != account.hash or not claimed.hash:
        finish_claim(claimed)
        return
    try:
        _read(claimed, at)
    except ProviderNotAvailable:
        log.warning("openrouter.sync_failed", account=str(account.id))


def _delete_unknown(upstream: Upstream, keys: Iterable[Key], at: datetime) -> None:
    """Delete what attempts of unknown outcome have left, organization by organization, under its claim."""
    young = timezone.now() - _ORPHAN_AGE
    known = set(ProviderAccount.objects.values_list("hash", flat=True))
    known.update(RetiredKey.objects.values_list("hash", flat=True))
    names = [key.name for key in keys if key.hash not in known and key.created_at and key.created_at < young]
    if not names:
        return
    for account in ProviderAccount.objects.in_modes(upstream.modes).select_related("organization"):
        if any(marker_of(account.organization_id) in name for name in names):
            with apart("openrouter.orphans_left", account.pk):
                _clean_up(account, at)


def _clean_up(account: ProviderAccount, at: datetime) -> None:
    """Under a claim nobody is making a key of this organization, so what is not in the books never will be."""
    claimed = claim_account(account.pk, at=at)
    if claimed is None:
        return
    try:
        delete_orphans(claimed, client_for(claimed.organization.mode))
    except ProviderError as error:
        log.warning("openrouter.orphans_left", account=str(account.id), reason=str(error))
    finally:
        finish_claim(claimed)
