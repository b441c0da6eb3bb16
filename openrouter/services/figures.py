"""Taking in what the provider says about a key. The caller holds a claim on the account."""

from datetime import datetime
from typing import Any

from django.db import transaction

from core.money import quantize
from openrouter.client import Key
from openrouter.models import AccountStatus, Owed, ProviderAccount
from openrouter.services.claims import finish_claim
from openrouter.services.lifecycle import WITHOUT_KEY, retire, tell

WORKER = "provider sync"


def figures_of(key: Key, at: datetime) -> dict[str, Any]:
    """The provider's figures as columns of ProviderAccount."""
    return {
        "label": key.label,
        "spend_limit": key.limit if key.limit is None else quantize(key.limit),
        "limit_remaining": key.limit_remaining if key.limit_remaining is None else quantize(key.limit_remaining),
        "usage": quantize(key.usage),
        "usage_daily": quantize(key.usage_daily),
        "usage_monthly": quantize(key.usage_monthly),
        "byok_usage": quantize(key.byok_usage),
        "last_synced_at": at,
    }


@transaction.atomic
def absorb_key(account: ProviderAccount, key: Key, *, at: datetime, **more: Any) -> bool:
    """Write the figures and let go; False when the claim is gone.

    A key that somebody has disabled at the provider is disabled here too: its calls would be refused one by one.
    """
    changes = {**figures_of(key, at), **more, "last_error": ""}
    if account.owed == Owed.NOTHING:
        changes |= {"attempts": 0, "next_attempt_at": None}
    disabled_there = key.disabled and account.status == AccountStatus.ACTIVE
    if disabled_there:
        changes["status"] = AccountStatus.DISABLED
    if not finish_claim(account, **changes):
        return False
    if disabled_there:
        tell(account, "disabled", {"label": key.label, "reason": "disabled at the provider"}, WORKER, at)
    return True


@transaction.atomic
def lose_key(account: ProviderAccount, *, at: datetime) -> bool:
    """Somebody deleted the key at the provider: forget it; an account in use asks for another."""
    wanted = account.status != AccountStatus.DISABLED
    lost = finish_claim(
        account,
        status=AccountStatus.FAILED if wanted else AccountStatus.DISABLED,
        owed=Owed.CREATE if wanted else Owed.NOTHING,
        last_error="The key was deleted at the provider.",
        attempts=0,
        next_attempt_at=None,
        **WITHOUT_KEY,
    )
    if lost:
        gone = retire(account, reason="lost", at=at, delete_after=at)
        gone.usage, gone.deleted_at = account.usage, at
        gone.save(update_fields=["usage", "deleted_at"])
        tell(account, "lost", {"hash": account.hash, "label": account.label}, WORKER, at)
    return lost
