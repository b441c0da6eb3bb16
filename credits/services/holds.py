"""Holds: credit set aside for a call before it is made, settled to what it cost."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import msgspec
from django.db import connection

from core.errors import KeyReused
from core.ids import uuid7
from core.money import ZERO, quantize, to_wire
from core.sqlcalls import Query, Row, batch_query, call_batch, run
from credits.ceilings import explain_ceiling
from credits.errors import (
    HoldAmountDiffers,
    HoldNotOpen,
    InsufficientCredits,
    SpendLimitReached,
    UnknownAccount,
    UnknownHold,
)
from credits.models import Hold, HoldPurpose
from credits.upkeep import bring_up_to_date

HOLD_LIFETIME = timedelta(minutes=15)


class HoldRequest(msgspec.Struct, frozen=True):
    """Ask to set ``amount`` USD aside under ``key`` until ``expires_at``.

    ``limit_ids`` are SpendLimit ids against which ``limit_amount`` (default: ``amount``) is reserved too.
    ``context`` is kept on the hold for whoever must resolve it later; never secrets or prompts.
    """

    organization_id: UUID
    amount: Decimal
    key: str
    expires_at: datetime
    purpose: str = "api"
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    limit_ids: Sequence[UUID] = ()
    limit_amount: Decimal | None = None
    hold_id: UUID = msgspec.field(default_factory=uuid7)


class HoldOutcome(msgspec.Struct, frozen=True):
    """Answer to one HoldRequest; amounts in USD after it.

    ``status``: placed, replayed, key_reused, insufficient, limit_exceeded, no_account.
    """

    status: str
    hold_id: UUID | None
    balance: Decimal
    held: Decimal
    available: Decimal
    limit_remaining: Decimal | None


@dataclass(slots=True, frozen=True)
class SettleRequest:
    """Charge ``amount`` USD to what ``hold_id`` reserved and give the rest back; 0 charges nothing."""

    hold_id: UUID
    amount: Decimal
    limit_amount: Decimal | None = None
    event_id: UUID | None = None
    reason: str = ""
    actor: str = ""


@dataclass(slots=True, frozen=True)
class SettleOutcome:
    """Answer to one SettleRequest or release. ``excess`` is the part charged beyond the overage limit (flagged).

    ``status``: settled, released, replayed, amount_differs, not_open, unknown_hold.
    """

    status: str
    hold_id: UUID
    entry_id: UUID | None
    charged: Decimal | None
    balance: Decimal | None
    held: Decimal | None
    available: Decimal | None
    excess: Decimal


def place_holds(requests: Sequence[HoldRequest], *, at: datetime) -> list[HoldOutcome]:
    """Place each hold if the wallet covers it, all in one statement; answer ``i`` belongs to request ``i``.

    Replaying a key with the same amount returns the first hold and moves nothing.
    """
    bring_up_to_date({request.organization_id for request in requests}, at)
    return hold_outcomes(run(place_holds_query(requests, at=at)))


def place_holds_query(requests: Sequence[HoldRequest], *, at: datetime) -> Query:
    """What :func:`place_holds` asks the database, for a caller who has a connection of its own and has brought the
    wallets up to date (``credits.upkeep``)."""
    items = [
        {
            "account": request.organization_id,
            "id": request.hold_id,
            "amount": quantize(request.amount),
            "key": request.key,
            "purpose": request.purpose,
            "expires_at": request.expires_at,
            "context": request.context,
            "limits": list(request.limit_ids),
            "limit_amount": quantize(request.amount if request.limit_amount is None else request.limit_amount),
        }
        for request in requests
    ]
    return batch_query("place_holds", items, at)


def hold_outcomes(rows: Sequence[Row]) -> list[HoldOutcome]:
    """The answers that the rows of :func:`place_holds_query` stand for."""
    return [HoldOutcome(*row[1:]) for row in rows]


def place_hold(request: HoldRequest, *, at: datetime) -> HoldOutcome:
    """One hold. Raises InsufficientCredits, SpendLimitReached or what another ceiling refuses with, KeyReused,
    UnknownAccount; then nothing moved.
    """
    [outcome] = place_holds([request], at=at)
    if outcome.status not in ("placed", "replayed"):
        refuse_hold(request, outcome, at)
    return outcome


def refuse_hold(request: HoldRequest, outcome: HoldOutcome, at: datetime) -> NoReturn:
    """Raise the refusal that ``outcome`` stands for."""
    if outcome.status == "insufficient":
        raise InsufficientCredits(
            f"This needs up to {to_wire(request.amount)} USD; {to_wire(outcome.available)} USD is available. "
            "Add credits and try again.",
            required=request.amount,
            available=outcome.available,
        )
    if outcome.status == "limit_exceeded":
        required = request.amount if request.limit_amount is None else request.limit_amount
        if refusal := explain_ceiling(request.limit_ids, required, at):
            raise refusal
        raise SpendLimitReached(required=request.amount, limit_remaining=outcome.limit_remaining)
    if outcome.status == "key_reused":
        raise KeyReused(key=request.key)
    raise UnknownAccount


def settle_holds(requests: Sequence[SettleRequest], *, at: datetime) -> list[SettleOutcome]:
    """Settle each hold once, in one statement; a replay with the same amount changes nothing."""
    items = [
        {
            "hold": request.hold_id,
            "amount": quantize(request.amount),
            "limit_amount": None if request.limit_amount is None else quantize(request.limit_amount),
            "event": request.event_id,
            "reason": request.reason,
            "actor": request.actor,
        }
        for request in requests
    ]
    return _ended(call_batch("settle_holds", items, at))


def settle_hold(request: SettleRequest, *, at: datetime) -> SettleOutcome:
    """One settlement. Raises UnknownHold, HoldNotOpen, HoldAmountDiffers."""
    [outcome] = settle_holds([request], at=at)
    return _raise_unless_ended(outcome)


def release_holds(hold_ids: Iterable[UUID], *, at: datetime) -> list[SettleOutcome]:
    """Give back what each hold reserved; releasing twice changes nothing."""
    return _ended(call_batch("release_holds", [{"hold": hold_id} for hold_id in hold_ids], at))


def release_hold(hold_id: UUID, *, at: datetime) -> SettleOutcome:
    """One release. Raises UnknownHold, HoldNotOpen (it was settled or has expired)."""
    [outcome] = release_holds([hold_id], at=at)
    return _raise_unless_ended(outcome)


def note_hold_progress(hold_id: UUID, patch: dict[str, Any]) -> bool:
    """Merge ``patch`` into the context of an open hold; False when it has ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_hold SET context = context || %s::jsonb WHERE id = %s AND status = 'open'",
            [json.dumps(patch), hold_id],
        )
        return cursor.rowcount == 1


def organization_hold(organization_id: UUID, hold_id: UUID) -> Hold:
    """The hold, if it is this organization's own to end. Raises UnknownHold.

    Not so a gateway call's hold: releasing it while the call runs would leave the call unpaid.
    """
    try:
        return Hold.objects.get(pk=hold_id, account_id=organization_id, purpose=HoldPurpose.API)
    except Hold.DoesNotExist:
        raise UnknownHold from None


_API_KEYS = "api:"  # before the keys of API callers: those of the gateway never meet them


def api_hold_key(key: str) -> str:
    """The stored form of a key that an API caller chose."""
    return f"{_API_KEYS}{key}"


def caller_key(hold: Hold) -> str:
    """The key of a hold as whoever placed it knows it."""
    return hold.key.removeprefix(_API_KEYS) if hold.purpose == HoldPurpose.API else hold.key


def _ended(rows: list[dict[str, Any]]) -> list[SettleOutcome]:
    for row in rows:
        del row["ord"]
        row["excess"] = row["excess"] or ZERO
    return [SettleOutcome(**row) for row in rows]


_ENDING_REFUSALS = {
    "unknown_hold": UnknownHold,
    "not_open": HoldNotOpen,
    "amount_differs": HoldAmountDiffers,
}


def _raise_unless_ended(outcome: SettleOutcome) -> SettleOutcome:
    if refusal := _ENDING_REFUSALS.get(outcome.status):
        raise refusal(hold_id=str(outcome.hold_id))
    return outcome
