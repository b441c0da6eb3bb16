"""What a wallet holds, now and at any past instant."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from core.money import ZERO, MoneyField
from credits.errors import UnknownAccount
from credits.models import CreditAccount, Hold, HoldPurpose, LedgerEntry, Lot


@dataclass(slots=True, frozen=True)
class Balance:
    """A wallet at ``at``, in USD. ``available`` = ``balance`` − ``held`` − ``pending``.

    ``pending`` is granted but not effective yet; ``overage`` is owed below zero, of at most ``overage_limit``.
    """

    organization_id: UUID
    balance: Decimal
    held: Decimal
    available: Decimal
    pending: Decimal
    overage: Decimal
    overage_limit: Decimal
    currency: str
    at: datetime


def current_balance(organization_id: UUID, at: datetime) -> Balance:
    """The wallet now, without what has run out but is not yet posted as expired. Raises UnknownAccount."""
    account = CreditAccount.objects.filter(pk=organization_id).first()
    if account is None:
        raise UnknownAccount
    freed, freed_of_lot = _overdue_reservations(organization_id, at)
    lots = Lot.objects.filter(account_id=organization_id, remaining__gt=0)
    expired = sum(
        (lot.remaining - lot.held + freed_of_lot.get(str(lot.pk), ZERO) for lot in lots.filter(expires_at__lte=at)),
        ZERO,
    )
    pending = lots.filter(effective_at__gt=at).aggregate(total=Sum("remaining"))["total"] or ZERO
    balance, held = account.balance - expired, account.held - freed
    return Balance(
        organization_id=organization_id,
        balance=balance,
        held=held,
        available=balance - held - pending,
        pending=pending,
        overage=account.overage,
        overage_limit=account.overage_limit,
        currency="USD",
        at=at,
    )


def _overdue_reservations(organization_id: UUID, at: datetime) -> tuple[Decimal, dict[str, Decimal]]:
    """What API holds past their deadline still reserve: in total, and of each lot."""
    overdue = Hold.objects.overdue(at).filter(account_id=organization_id, purpose=HoldPurpose.API)
    total = ZERO
    of_lot: dict[str, Decimal] = {}
    for hold in overdue:
        total += hold.amount
        for part in hold.allocations:
            of_lot[part["lot"]] = of_lot.get(part["lot"], ZERO) + Decimal(part["amount"])
    return total, of_lot


def pending_credit(account: str, at: datetime) -> Coalesce:
    """What ``account`` (a field of the rows that are asked for) was granted but cannot spend yet at ``at``, USD."""
    waiting = Lot.objects.filter(account_id=OuterRef(account), remaining__gt=0, effective_at__gt=at)
    sums = waiting.order_by().values("account_id").annotate(total=Sum("remaining")).values("total")
    return Coalesce(Subquery(sums), ZERO, output_field=MoneyField())


def balance_at(organization_id: UUID, at: datetime) -> Decimal:
    """The posted balance (USD) at a past instant: the last entry before it, and later ones that count by then.

    Expiries and a period's credit may be posted late; they count from the lot's end and the period's start. Raises
    UnknownAccount.
    """
    if not CreditAccount.objects.filter(pk=organization_id).exists():
        raise UnknownAccount
    entries = LedgerEntry.objects.filter(account_id=organization_id)
    last = entries.filter(posted_at__lte=at).order_by("-posted_at", "-number").values_list("balance_after", flat=True)
    late = entries.filter(posted_at__gt=at, effective_at__lte=at).aggregate(total=Sum("amount"))
    return (last.first() or ZERO) + (late["total"] or ZERO)
