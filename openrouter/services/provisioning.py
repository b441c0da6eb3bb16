"""Telling the provider what was decided: make, enable, disable and delete sub-keys. Never inside a transaction.

Making a key cannot be made idempotent at the provider. So it is done under a claim, and after an attempt of unknown
outcome the provider's list is searched for keys with the organization's marker in their name: those that are not ours
by hash were made by an attempt whose answer, and with it the secret, was lost; they are deleted first.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from core.money import ZERO, quantize
from credits.models import Hold, HoldPurpose
from openrouter.client import NewKey, OpenRouterClient, ProviderError, ProviderNotFound, client_for
from openrouter.models import AccountStatus, Owed, ProviderAccount, RetiredKey
from openrouter.services.claims import claim_account, fail_claim, finish_claim, pause_after
from openrouter.services.figures import WORKER, absorb_key, figures_of, lose_key
from openrouter.services.lifecycle import marker_of, retire, tell
from openrouter.services.limits import limit_for, spendable
from openrouter.upstreams import manageable_modes
from outbox.taskruns import apart

log = structlog.get_logger(__name__)

# Calls that took the old key just before a rotation end well within this; then it is deleted.
ROTATION_GRACE = timedelta(minutes=30)
# A deleted account's key is kept, disabled, while a call may still be running with it, but not for ever.
DELETION_PATIENCE = timedelta(hours=24)
_CALL_PAUSE = timedelta(seconds=30)


def advance_account(*, account_id: UUID, at: datetime) -> bool:
    """Tell the provider what it is owed about one account; True when nothing is owed afterwards.

    Another worker's account is left alone. A failure is noted on the row, with the time of the next attempt.
    """
    account = claim_account(account_id, at=at, count_attempt=True)
    if account is None:
        return False
    duty = _DUTIES.get(Owed(account.owed))
    if duty is None:
        finish_claim(account, attempts=0)
        return True
    try:
        return duty(account, client_for(account.organization.mode), at)
    except ProviderError as error:
        log.warning("openrouter.account.failed", account=str(account.id), owed=account.owed, reason=str(error))
        fail_claim(account, error, at=at)
        return False


def advance_due(*, at: datetime, limit: int = 100) -> int:
    """Tell the provider whatever is due; how many accounts were brought to rest."""
    due = ProviderAccount.objects.due(at).in_modes(manageable_modes()).values_list("id", flat=True)
    rested = 0
    for account_id in list(due[:limit]):
        with apart("openrouter.account_not_advanced", account_id):  # its claim ends, and it is tried again then
            rested += advance_account(account_id=account_id, at=timezone.now())
    return rested


# ---------------------------------------------------------------- duties


def _create(account: ProviderAccount, client: OpenRouterClient, at: datetime) -> bool:
    if account.attempts > 1:
        delete_orphans(account, client)
    made = client.create_key(name=account.name, limit=limit_for(ZERO, spendable(account.organization_id)))
    if _adopt(account, made, at):
        return True
    # Overruled while the provider answered: nobody will ever use this key.
    _delete_quietly(client, made.key.hash)
    return False


@transaction.atomic
def _adopt(account: ProviderAccount, made: NewKey, at: datetime) -> bool:
    """Make the new key the account's own, retiring the one it replaces; False when the claim is gone."""
    standing = finish_claim(
        account,
        status=AccountStatus.ACTIVE,
        owed=Owed.NOTHING,
        hash=made.key.hash,
        secret=made.secret,
        attempts=0,
        next_attempt_at=None,
        last_error="",
        **figures_of(made.key, at),
    )
    if standing:
        if account.hash:
            retire(account, reason="rotated", at=at, delete_after=at + ROTATION_GRACE)
        news = "rotated" if account.hash else "created"
        tell(account, news, {"label": made.key.label, "limit": made.key.limit}, WORKER, at)
    return standing


def _enable(account: ProviderAccount, client: OpenRouterClient, at: datetime) -> bool:
    return _switch(account, client, at, disabled=False, status=AccountStatus.ACTIVE)


def _disable(account: ProviderAccount, client: OpenRouterClient, at: datetime) -> bool:
    return _switch(account, client, at, disabled=True, status=AccountStatus.DISABLED)


def _switch(
    account: ProviderAccount, client: OpenRouterClient, at: datetime, *, disabled: bool, status: AccountStatus
) -> bool:
    try:
        key = client.change_key(account.hash, disabled=disabled)
    except ProviderNotFound:
        lose_key(account, at=at)
        return False
    return absorb_key(account, key, at=at, status=status, owed=Owed.NOTHING, attempts=0, next_attempt_at=None)


_DUTIES: dict[Owed, Callable[[ProviderAccount, OpenRouterClient, datetime], bool]] = {
    Owed.CREATE: _create,
    Owed.ENABLE: _enable,
    Owed.DISABLE: _disable,
}


# ---------------------------------------------------------------- orphans and retired keys


def delete_orphans(account: ProviderAccount, client: OpenRouterClient) -> int:
    """Delete the organization's keys at the provider that are not in our books. The caller holds the claim."""
    ours = {account.hash, *account.retired_keys.values_list("hash", flat=True)}
    marker = marker_of(account.organization_id)
    orphans = [key.hash for key in client.list_keys(leniently=True) if marker in key.name and key.hash not in ours]
    for hash in orphans:
        _delete(client, hash)
        log.info("openrouter.orphan_deleted", account=str(account.id), key_hash=hash)
    return len(orphans)


def delete_retired_keys(*, at: datetime, limit: int = 100, account_id: UUID | None = None) -> int:
    """Delete keys that are no longer used, once no call can be running with them; how many are gone."""
    due = RetiredKey.objects.due(at).filter(account__organization__mode__in=manageable_modes())
    if account_id is not None:
        due = due.filter(account_id=account_id)
    gone = 0
    for retired in due.select_related("account__organization")[:limit]:
        with apart("openrouter.key_not_deleted", retired.pk):
            gone += _delete_retired(retired, at)
    return gone


def _delete_retired(retired: RetiredKey, at: datetime) -> bool:
    retired.attempts += 1
    taken = RetiredKey.objects.filter(pk=retired.pk, next_attempt_at=retired.next_attempt_at)
    if not taken.update(next_attempt_at=at + pause_after(retired.attempts), attempts=retired.attempts):
        return False
    client = client_for(retired.account.organization.mode)
    try:
        usage = _final_usage(retired, client, at)
    except _StillInUse:
        RetiredKey.objects.filter(pk=retired.pk).update(next_attempt_at=at + _CALL_PAUSE, attempts=0)
        return False
    except ProviderError as error:
        RetiredKey.objects.filter(pk=retired.pk).update(last_error=str(error))
        return False
    RetiredKey.objects.filter(pk=retired.pk).update(usage=usage, deleted_at=at, last_error="")
    return True


class _StillInUse(Exception):
    """A call that may have taken the key is still running."""


def _final_usage(retired: RetiredKey, client: OpenRouterClient, at: datetime) -> Decimal | None:
    """Disable the key, wait for its last calls, read what it used in all, delete it."""
    try:
        client.change_key(retired.hash, disabled=True)
        if _may_be_in_use(retired, at):
            raise _StillInUse
        usage = quantize(client.get_key(retired.hash).usage)
        RetiredKey.objects.filter(pk=retired.pk).update(usage=usage)
    except ProviderNotFound:
        return retired.usage  # deleted by an attempt whose answer was lost: that attempt noted the usage
    _delete(client, retired.hash)
    return usage


def _may_be_in_use(retired: RetiredKey, at: datetime) -> bool:
    if at > retired.retired_at + DELETION_PATIENCE:
        return False
    holds = Hold.objects.open().filter(account_id=retired.account.organization_id, purpose=HoldPurpose.GATEWAY)
    # The gateway remembers a key for a moment, so a call may have begun with it shortly after.
    return holds.filter(placed_at__lte=retired.retired_at + _CALL_PAUSE).exists()


def _delete(client: OpenRouterClient, hash: str) -> None:
    with suppress(ProviderNotFound):
        client.delete_key(hash)


def _delete_quietly(client: OpenRouterClient, hash: str) -> None:
    """Try to; the next sync of the list finds it otherwise."""
    try:
        _delete(client, hash)
    except ProviderError as error:
        log.warning("openrouter.orphan_left", key_hash=hash, reason=str(error))
