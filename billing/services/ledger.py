"""Movements of a customer's credit on a meter. The customer is locked by the caller."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from uuid import UUID

from accounts.principal import Actor
from billing.amounts import kept
from billing.announcing import record_event
from billing.models import BenefitGrant, CreditKind, Customer, CustomerMeter, MeterCredit
from core.money import EXACT


@dataclass(frozen=True, slots=True)
class Cause:
    """Who moves credit, why, and from when it counts (``at``: when it is written)."""

    actor: Actor | str
    at: datetime
    effective_at: datetime
    reason: str = ""
    grant: BenefitGrant | None = None

    @property
    def actor_label(self) -> str:
        """The actor in the ledger's column."""
        return (self.actor if isinstance(self.actor, str) else self.actor.label)[:120]


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
    """Take ``units`` back; credit does not fall below zero."""
    taken = min(row.credited, units)
    flagged = min(row.rollover_credited, taken) if rollover else 0
    # What may be carried is never more than what is there.
    flagged = max(flagged, row.rollover_credited - (row.credited - taken))
    _post(row, CreditKind.REVOKED, -units, -taken, -flagged, cause)


def reset(row: CustomerMeter, consumed: Decimal, *, cause: Cause) -> int:
    """Close the window at ``cause.effective_at``: unused credit expires but for what may be carried. Returns that."""
    carried = min(_left(row, consumed), row.rollover_credited)
    _close(row, consumed, _left(row, consumed) - carried, cause)
    if carried:
        credit(row, carried, rollover=True, cause=cause, kind=CreditKind.CARRIED)
    return carried


def begin_window(row: CustomerMeter, consumed: Decimal, *, cause: Cause) -> None:
    """Count from zero without loss: all unused credit is carried, with what it was flagged."""
    left = _left(row, consumed)
    flagged = min(left, row.rollover_credited)
    _close(row, consumed, 0, cause)
    for units, rollover in ((flagged, True), (left - flagged, False)):
        if units:
            credit(row, units, rollover=rollover, cause=cause, kind=CreditKind.CARRIED)


def tell_credited(customer: Customer, meter_id: UUID, units: int, *, rollover: bool, at: datetime) -> None:
    """List a credit among the customer's events."""
    record_event("meter.credited", customer, at=at, meter_id=meter_id, units=units, rollover=rollover)


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
        grant=cause.grant,
        reason=cause.reason[:200],
        actor=cause.actor_label,
        effective_at=cause.effective_at,
        created_at=cause.at,
    )
