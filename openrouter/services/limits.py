"""The sub-key's spend limit follows the organization's credits.

The limit counts against the key's lifetime usage, so it is ``usage + what may still be spent + headroom``. Spending
moves usage up and credit down by the same amount, so the limit moves only with grants, expiry, refunds and markup.
It is a second hard stop behind the holds, never what a customer meets first.
"""

from contextlib import suppress
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from uuid import UUID

from django.db.models import F, Q, Value
from django.db.models.functions import Abs, Greatest

from core.money import ZERO, MoneyField
from credits.models import CreditAccount
from openrouter.client import Key, ProviderError, ProviderNotFound, client_for
from openrouter.models import AccountStatus, ProviderAccount
from openrouter.services.claims import claim_account, fail_claim, finish_claim
from openrouter.services.figures import absorb_key, lose_key
from openrouter.upstreams import manageable_modes
from outbox.taskruns import apart

HEADROOM = Decimal("1.00")  # USD above the credits, so that the holds are always what a customer meets first
STEP = Decimal("0.50")  # smaller moves are not worth a request; below HEADROOM, so credit is always spendable
_CENT = Decimal("0.01")


def spendable(organization_id: UUID) -> Decimal:
    """What the organization may still spend in USD, held credit and permitted overage included."""
    wallet = CreditAccount.objects.filter(pk=organization_id).first()
    return ZERO if wallet is None else max(ZERO, wallet.balance + wallet.overage_limit)


def limit_for(usage: Decimal, credit: Decimal) -> Decimal:
    """The limit in USD for a key that has used ``usage`` of an organization that may spend ``credit`` more."""
    return (usage + credit + HEADROOM).quantize(_CENT, rounding=ROUND_CEILING)


def follow_limit(*, account_id: UUID, at: datetime) -> bool:
    """Bring one key's limit in step with its organization's credits; True when the provider was told.

    Does nothing for an account that is not active or that another worker is busy with. Raises ProviderError.
    """
    account = claim_account(account_id, at=at)
    if account is None:
        return False
    if account.status != AccountStatus.ACTIVE or not account.hash:
        finish_claim(account)
        return False
    try:
        key, told = _follow(account)
    except ProviderNotFound:
        lose_key(account, at=at)
        return False
    except ProviderError as error:
        fail_claim(account, error, at=at)
        raise
    absorb_key(account, key, at=at)
    return told


def _follow(account: ProviderAccount) -> tuple[Key, bool]:
    client = client_for(account.organization.mode)
    key = client.get_key(account.hash)
    wanted = limit_for(key.usage, spendable(account.organization_id))
    if key.limit is not None and abs(wanted - key.limit) < STEP:
        return key, False
    return client.change_key(account.hash, limit=wanted), True


def follow_limits(*, at: datetime, limit: int = 200) -> int:
    """Bring every key's limit in step that seems out of it; how many the provider was told.

    Judged by the usage of the last sync, so an organization that spends is looked at once more per STEP.
    """
    told = 0
    for account_id in limits_out_of_step(at, limit):
        with apart("openrouter.limit_not_followed", account_id), suppress(ProviderError):
            # A refusal is noted on the row; its next turn comes after the pause written there.
            told += follow_limit(account_id=account_id, at=at)
    return told


def limits_out_of_step(at: datetime, limit: int) -> list[UUID]:
    """Accounts whose limit seems STEP or more away from what it should be, longest unsynced first."""
    wallet = "organization__credit_account__"
    credit = Greatest(F(f"{wallet}balance") + F(f"{wallet}overage_limit"), Value(ZERO), output_field=MoneyField())
    waiting = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=at)
    off = Q(spend_limit__isnull=True) | Q(distance__gte=STEP)
    accounts = (
        ProviderAccount.objects.usable()
        .in_modes(manageable_modes())
        .unclaimed(at)
        .filter(waiting)
        .annotate(distance=Abs(F("usage") + credit + HEADROOM - F("spend_limit"), output_field=MoneyField()))
        .filter(off)
    )
    return list(accounts.order_by(F("last_synced_at").asc(nulls_first=True)).values_list("id", flat=True)[:limit])
