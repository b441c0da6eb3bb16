"""Movements of a customer's credit on a meter. The customer is locked by the caller."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from uuid import UUID

from django.db.models import Min, Sum

from accounts.principal import Actor
from billing.amounts import kept
from billing.announcing import record_event
from billing.models import CreditKind, Customer, CustomerMeter, MeterCredit
from core.money import EXACT


@dataclass(frozen=True, slots=True)
class Cause:
    """Who moves credit, why, from when it counts (``at``: when it is written), and whose it is (None: a gift's)."""

    actor: Actor | str
    at: datetime
    effective_at: datetime
    reason: str = ""
    grant_id: UUID | None = None

    @property
    def actor_label(self) -> str:
        """The actor in the ledger's column."""
        return (self.actor if isinstance(self.actor, str) else self.actor.label)[:120]


@dataclass(frozen=True, slots=True)
class Share:
    """What is there of one grant's credit in the open window; ``flagged``: of it, what may be carried over a reset."""

    grant_id: UUID | None
    units: int
    flagged: int


def lock_meter(customer: Customer, meter_id: UUID, at: datetime) -> CustomerMeter:
    """The customer's row of the meter, made if there is none, until the transaction ends."""
    CustomerMeter.objects.bulk_create(
        [CustomerMeter(customer=customer, meter_id=meter_id, created_at=at)], ignore_conflicts=True
    )
    return CustomerMeter.objects.select_for_update(no_key=True).get(customer=customer, meter_id=meter_id)


def credit(row: CustomerMeter, units: int, *, rollover: bool, cause: Cause, kind: str = CreditKind.CREDITED) -> None:
    """Add ``units`` (above zero); ``rollover``: what is left of them may be carried over a reset."""
    _post(row, kind, units, units, units if rollover else 0, cause)


def revoke(row: CustomerMeter, units: int, *, rollover: bool, cause: Cause) -> None:
    """Take back ``units`` of the credit of ``cause.grant_id``, as far as it is there; nobody else's."""
    share = next((each for each in _shares(row) if each.grant_id == cause.grant_id), None)
    if share is None or share.units <= 0:
        return
    taken = min(units, share.units)
    unflagged = share.units - share.flagged
    flagged = min(taken, share.flagged) if rollover else max(0, taken - unflagged)
    _post(row, CreditKind.REVOKED, -units, -taken, -flagged, cause)


def reset(row: CustomerMeter, consumed: Decimal, *, cause: Cause) -> int:
    """Close the window at ``cause.effective_at``: unused credit expires but for what may be carried. Returns that."""
    left = _left(row, consumed)
    carried = min(left, row.rollover_credited)
    shares = _left_to_each(row, carried, 0)
    _close(row, consumed, left - carried, cause)
    _carry(row, shares, cause)
    return carried


def begin_window(row: CustomerMeter, consumed: Decimal, *, cause: Cause) -> None:
    """Count from zero without loss: all unused credit is carried, with what it was flagged."""
    left = _left(row, consumed)
    flagged = min(left, row.rollover_credited)
    shares = _left_to_each(row, flagged, left - flagged)
    _close(row, consumed, 0, cause)
    _carry(row, shares, cause)


def tell_credited(customer: Customer, meter_id: UUID, units: int, *, rollover: bool, at: datetime) -> None:
    """List a credit among the customer's events."""
    record_event("meter.credited", customer, at=at, meter_id=meter_id, units=units, rollover=rollover)


def _shares(row: CustomerMeter) -> list[Share]:
    """The credit of the open window by grant, in the order in which it is used up.

    What ends with a subscription first, so that whoever bought more for himself keeps that; else the oldest.
    """
    found = MeterCredit.objects.filter(customer_meter=row, window=row.window)
    sums = found.values("grant_id", "grant__subscription_id").annotate(
        units=Sum("applied"), flagged=Sum("rollover_applied"), first=Min("number")
    )
    ordered = sorted(sums, key=lambda each: (each["grant__subscription_id"] is None, each["first"]))
    return [Share(each["grant_id"], each["units"], each["flagged"]) for each in ordered]


def _left_to_each(row: CustomerMeter, flagged: int, unflagged: int) -> list[Share]:
    """Whose it is when so much is left of what may be carried, and of the rest: what is used last stays."""
    left = []
    for share in reversed(_shares(row)):
        stays, rest = min(share.flagged, flagged), min(share.units - share.flagged, unflagged)
        flagged, unflagged = flagged - stays, unflagged - rest
        left.append(Share(share.grant_id, stays + rest, stays))
    return left[::-1]


def _carry(row: CustomerMeter, shares: list[Share], cause: Cause) -> None:
    for share in shares:
        theirs = replace(cause, grant_id=share.grant_id)
        for units, rollover in ((share.flagged, True), (share.units - share.flagged, False)):
            if units:
                credit(row, units, rollover=rollover, cause=theirs, kind=CreditKind.CARRIED)


def _left(row: CustomerMeter, consumed: Decimal) -> int:
    left = EXACT.subtract(Decimal(row.credited), consumed)
    left = min(max(Decimal(0), left), Decimal(row.credited))  # a meter may read below zero
    return int(left.to_integral_value(rounding=ROUND_FLOOR))


def _close(row: CustomerMeter, consumed: Decimal, expired: int, cause: Cause) -> None:
    if expired:
        flagged = max(0, row.rollover_credited - (row.credited - expired))
        _post(row, CreditKind.EXPIRED, -expired, -expired, -flagged, cause)
    _post(row, CreditKind.RESET, -row.credited, -row.credited, -row.rollover_credited, cause, kept(consumed))
    row.window += 1
    row.window_started_at = cause.effective_at
    row.save(update_fields=["window", "window_started_at"])


def _post(
    row: CustomerMeter, kind: str, units: int, applied: int, flagged: int, cause: Cause, consumed: Decimal | None = None
) -> None:
    row.credited += applied
    row.rollover_credited += flagged
    row.entries += 1
    row.modified_at = cause.at
    row.save(update_fields=["credited", "rollover_credited", "entries", "modified_at"])
    MeterCredit.objects.create(
        customer_meter=row,
        number=row.entries,
        window=row.window,
        kind=kind,
        units=units,
        applied=applied,
        rollover_applied=flagged,
        credited_after=row.credited,
        consumed=consumed,
        grant_id=cause.grant_id,
        reason=cause.reason[:200],
        actor=cause.actor_label,
        effective_at=cause.effective_at,
        created_at=cause.at,
    )
