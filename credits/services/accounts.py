"""Wallets and the ceilings around them."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction

from core.errors import InvalidRequest
from core.money import ZERO
from credits.errors import UnknownAccount
from credits.models import CreditAccount


def open_account(*, organization_id: UUID, overage_limit: Decimal = Decimal(0)) -> CreditAccount:
    """The organization's wallet; opens an empty one when there is none."""
    account, _ = CreditAccount.objects.get_or_create(
        organization_id=organization_id, defaults={"overage_limit": overage_limit}
    )
    return account


@transaction.atomic
def set_overage_limit(*, organization_id: UUID, limit: Decimal, keeps_debt: bool = False) -> CreditAccount:
    """How far below zero (USD) the wallet may go.

    Raises InvalidRequest when more than ``limit`` is owed already, unless that may stay (``keeps_debt``): it is excess
    then, which only shrinks as it is settled.
    """
    account = lock_account(organization_id)
    owed = account.overage + account.overage_held
    if limit < 0 or (limit < owed - account.excess and not keeps_debt):
        raise InvalidRequest("The overage limit cannot be below what is already owed.", owed=owed - account.excess)
    account.overage_limit, account.excess = limit, max(owed - limit, ZERO)
    account.save(update_fields=["overage_limit", "excess"])
    return account


def set_low_balance_alert(*, organization_id: UUID, threshold: Decimal | None) -> None:
    """Announce ``credits.low`` when the available balance falls below ``threshold`` USD.

    None: owners are written to at the installation's own threshold (``CREDITS_LOW_BALANCE``). 0: they are written to
    only when all is gone.
    """
    if not CreditAccount.objects.filter(pk=organization_id).update(low_balance_at=threshold):
        raise UnknownAccount


def lock_account(organization_id: UUID) -> CreditAccount:
    """The wallet, locked to the end of the transaction. Raises UnknownAccount."""
    try:
        return CreditAccount.objects.select_for_update().get(pk=organization_id)
    except CreditAccount.DoesNotExist:
        raise UnknownAccount from None
