"""What the books refused, as errors that a caller can act on."""

from typing import NoReturn

from core.errors import DomainError, KeyReused
from core.money import ZERO, to_wire
from credits.errors import HoldNotOpen, InsufficientCredits, SpendLimitReached, UnknownAccount, UnknownHold
from metering.records import UsageOutcome, UsageRecord


def refusal_of(event: UsageRecord, outcome: UsageOutcome) -> DomainError:
    """The error that a refused ``outcome`` stands for."""
    match outcome.status:
        case "insufficient" if event.metered:
            return InsufficientCredits(
                "What this event adds to its meters costs more than is available: "
                f"{to_wire(outcome.available or ZERO)} USD.",
                available=outcome.available,
            )
        case "insufficient":
            return InsufficientCredits(
                f"This event costs {to_wire(event.charge)} USD; {to_wire(outcome.available or ZERO)} USD is available.",
                required=event.charge,
                available=outcome.available,
            )
        case "limit_exceeded":
            return SpendLimitReached(required=event.charge)
        case "key_reused":
            return KeyReused(
                f'The external id "{event.external_id}" belongs to another event.', event_id=outcome.event_id
            )
        case "hold_not_open":
            return HoldNotOpen(hold_id=event.hold_id)
        case "unknown_hold":
            return UnknownHold(hold_id=event.hold_id)
        case "no_account":
            return UnknownAccount()
    raise ValueError(f"{outcome.status} is not a refusal")


def refuse(event: UsageRecord, outcome: UsageOutcome) -> NoReturn:
    """Raise it."""
    raise refusal_of(event, outcome)
