"""One worker at a time per account, without holding a lock while the provider is asked.

A claim is a row's ``claim_id`` with an end. Whoever claims may ask the provider; what comes of it is written only while
the claim still stands, so a worker that slept past its end, or was overruled meanwhile, changes nothing.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from core.ids import uuid7
from openrouter.client import ProviderError
from openrouter.models import AccountStatus, ProviderAccount

# Longer than any sequence of provider calls under one claim: each call ends within about a minute and a half.
CLAIM = timedelta(minutes=15)
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)


def claim_account(account_id: UUID, *, at: datetime, count_attempt: bool = False) -> ProviderAccount | None:
    """The account with a claim of ours on it; None when another worker has it or it does not exist."""
    claim_id = uuid7()
    changes: dict[str, Any] = {"claim_id": claim_id, "claimed_until": at + CLAIM}
    if count_attempt:
        # Counted before the provider is asked: an attempt that ends with the process must leave a trace too.
        changes["attempts"] = F("attempts") + 1
    if not ProviderAccount.objects.unclaimed(at).filter(pk=account_id).update(**changes):
        return None
    return ProviderAccount.objects.select_related("organization").get(pk=account_id, claim_id=claim_id)


def finish_claim(account: ProviderAccount, **changes: Any) -> bool:
    """Write ``changes`` and let go, if the claim still stands; False when it does not."""
    written = ProviderAccount.objects.filter(pk=account.pk, claim_id=account.claim_id)
    return bool(written.update(**changes, claim_id=None, claimed_until=None))


def fail_claim(account: ProviderAccount, error: ProviderError, *, at: datetime) -> bool:
    """Let go after a failure; what is owed is tried again after a growing pause."""
    changes: dict[str, Any] = {
        "last_error": str(error),
        "next_attempt_at": at + max(pause_after(account.attempts), timedelta(seconds=error.retry_after or 0)),
    }
    if account.status == AccountStatus.PENDING:
        changes["status"] = AccountStatus.FAILED
    return finish_claim(account, **changes)


def pause_after(attempts: int) -> timedelta:
    """How long to wait after the ``attempts``-th failure: doubling, up to an hour."""
    return min(FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 16), LONGEST_PAUSE)
