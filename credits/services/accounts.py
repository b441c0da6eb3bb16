"""Wallets and the ceilings around them."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from core.errors import InvalidRequest
from core.money import ZERO
from credits.errors import UnknownAccount
from credits.models import CreditAccount, Hold, SpendLimit


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
    account = _lock(organization_id)
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


@transaction.atomic
def set_spend_limit(*, organization_id: UUID, limit_id: UUID, ceiling: Decimal) -> SpendLimit:
    """Put a hard ceiling (USD, for life) on what ``limit_id`` may spend; keeps what it has spent so far.

    A ceiling that was lifted while calls ran takes up again what they have reserved of it.
    """
    _lock(organization_id)
    limit = SpendLimit.objects.filter(pk=limit_id).first()
    spent, held = (limit.spent, limit.held) if limit else (ZERO, _reserved(organization_id, limit_id))
    now = {"account_id": organization_id, "ceiling": ceiling, "held": held, "excess": max(spent + held - ceiling, ZERO)}
    return SpendLimit.objects.update_or_create(id=limit_id, defaults=now)[0]


def _reserved(organization_id: UUID, limit_id: UUID) -> Decimal:
    """What open holds have reserved of a limit."""
    running = Hold.objects.filter(account_id=organization_id, status="open", limit_ids__contains=[limit_id])
    return running.aggregate(total=Sum("limit_amount"))["total"] or ZERO


@transaction.atomic
def remove_spend_limit(*, organization_id: UUID, limit_id: UUID) -> None:
    """Lift the ceiling of ``limit_id``."""
    _lock(organization_id)
    SpendLimit.objects.filter(account_id=organization_id, id=limit_id).delete()


def _lock(organization_id: UUID) -> CreditAccount:
    try:
        return CreditAccount.objects.select_for_update().get(pk=organization_id)
    except CreditAccount.DoesNotExist:
        raise UnknownAccount from None
