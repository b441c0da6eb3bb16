"""Entries that need no hold: grants, deductions, refunds, reversals, adjustments."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from django.db import transaction

from core.errors import InvalidRequest, KeyReused
from core.ids import uuid7
from core.jsonio import dumps
from core.money import quantize, to_wire
from core.sqlcalls import call_batch
from credits.errors import (
    ExceedsCharge,
    InsufficientCredits,
    NothingLeft,
    NotRefundable,
    SpendLimitReached,
    UnknownAccount,
    UnknownEntry,
    UnknownLot,
)
from credits.models import EntryKind, LedgerEntry, LotKind
from credits.upkeep import bring_up_to_date
from outbox.services import publish

# Promotional credit burns before paid credit, so that what can be refunded in money is spent last.
PRIORITIES = {
    LotKind.ROLLOVER: 10,
    LotKind.ALLOCATED: 20,
    LotKind.BONUS: 30,
    LotKind.REFUND: 40,
    LotKind.PURCHASED: 50,
}


@dataclass(slots=True, frozen=True)
class Posting:
    """One posted movement and the wallet after it, in USD. ``replayed``: the key was known, nothing moved."""

    entry_id: UUID | None
    balance: Decimal
    held: Decimal
    available: Decimal
    replayed: bool
    lot_id: UUID | None = None


def post_batch(items: Sequence[dict[str, Any]], *, at: datetime) -> list[dict[str, Any]]:
    """Post items in one statement (see ``post_entries`` in ``credits/sql``); each row carries its own status."""
    return call_batch("post_entries", items, at)


def post_grants(items: Sequence[dict[str, Any]], *, at: datetime) -> list[dict[str, Any]]:
    """Post many accounts' grants (:func:`grant_item`) in one statement; rows as of :func:`post_batch`, but shorter.

    The caller holds the wallets' locks and has swept them (``credits.endings.sweep_wallets``).
    """
    return call_batch("post_grants", items, at)


@transaction.atomic
def grant_credits(
    *,
    organization_id: UUID,
    amount: Decimal,
    kind: str,
    reason: str,
    actor: str,
    at: datetime,
    key: str | None = None,
    priority: int | None = None,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
    entry_kind: str = EntryKind.GRANT,
    counts_from: datetime | None = None,
) -> Posting:
    """Add a lot of ``amount`` USD; a purchase first settles what is owed below zero.

    ``counts_from`` is not after ``at``: from when the entry counts (default: when it is posted). Replaying ``key`` with
    the same grant returns the first posting. Raises InvalidRequest, KeyReused, UnknownAccount.
    """
    if expires_at is not None and expires_at <= max(at, effective_at or at):
        raise InvalidRequest("The credit would expire before it can be spent.")
    body = grant_item(
        organization_id=organization_id,
        amount=amount,
        kind=kind,
        reason=reason,
        actor=actor,
        at=at,
        key=key,
        priority=priority,
        effective_at=effective_at,
        expires_at=expires_at,
        entry_kind=entry_kind,
        counts_from=counts_from,
    )
    posting = _post(body, at)
    if not posting.replayed:
        _announce_grant(body, posting, at)
    return posting


def _announce_grant(body: dict[str, Any], posting: Posting, at: datetime) -> None:
    facts = {"amount": body["amount"], "kind": body["lot_kind"], "entry_id": posting.entry_id}
    facts["balance"] = posting.balance
    publish(type="credits.granted", organization_id=body["account"], data=facts, actor=body["actor"], at=at)


def grant_item(
    *,
    organization_id: UUID,
    amount: Decimal,
    kind: str,
    reason: str,
    actor: str,
    at: datetime,
    key: str | None,
    priority: int | None = None,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
    entry_kind: str = EntryKind.GRANT,
    counts_from: datetime | None = None,
) -> dict[str, Any]:
    """A grant as an item of :func:`post_batch`: as :func:`grant_credits`, but announced by the caller.

    ``counts_from`` is the instant from which the entry counts when it is posted later; the lot may have ended by then.
    """
    if kind not in LotKind.values:
        raise InvalidRequest(f"Unknown kind of credit {kind!r}; use one of {', '.join(LotKind.values)}.")
    item = {
        "type": "grant",
        "kind": entry_kind,
        "amount": _positive(amount),
        "lot_kind": kind,
        "priority": PRIORITIES[LotKind(kind)] if priority is None else priority,
        "effective_at": effective_at,
        "expires_at": expires_at,
    }
    generated = {"lot": uuid7(), "effective_at": effective_at or at, "counts_from": counts_from}
    return _body(organization_id, item, generated, reason, actor, key)


def deduct_credits(
    *,
    organization_id: UUID,
    amount: Decimal,
    reason: str,
    actor: str,
    at: datetime,
    key: str | None = None,
    allow_overage: bool = True,
    kind: str = EntryKind.DEDUCTION,
    limit_ids: Sequence[UUID] = (),
) -> Posting:
    """Take ``amount`` USD from the lots in burn order, then from the overage limit.

    Raises InsufficientCredits, SpendLimitReached, KeyReused, UnknownAccount, InvalidRequest; then nothing moved.
    """
    item = {"type": "spend", "kind": kind, "amount": _positive(amount), "overage": allow_overage}
    return _post(_body(organization_id, item, {"limits": list(limit_ids)}, reason, actor, key), at)


def adjust_balance(
    *, organization_id: UUID, amount: Decimal, reason: str, actor: str, at: datetime, key: str | None = None
) -> Posting:
    """Correct the balance by a signed amount: upwards as a bonus lot, downwards like a deduction."""
    if amount > 0:
        return grant_credits(
            organization_id=organization_id,
            amount=amount,
            kind=LotKind.BONUS,
            reason=reason,
            actor=actor,
            at=at,
            key=key,
            entry_kind=EntryKind.ADJUSTMENT,
        )
    return deduct_credits(
        organization_id=organization_id,
        amount=-amount,
        reason=reason,
        actor=actor,
        at=at,
        key=key,
        kind=EntryKind.ADJUSTMENT,
    )


@transaction.atomic
def refund_charge(
    *,
    organization_id: UUID,
    entry_id: UUID,
    reason: str,
    actor: str,
    at: datetime,
    amount: Decimal | None = None,
    key: str | None = None,
    kind: str = EntryKind.REFUND,
    event_id: UUID | None = None,
) -> Posting:
    """Give ``amount`` USD (default: all that is left) of a charge back to the lots it came from.

    What came from lots that have expired goes to a fresh lot. Together refunds never exceed the charge.
    Raises UnknownEntry, NotRefundable, ExceedsCharge, KeyReused.
    """
    item = {
        "type": "refund",
        "kind": kind,
        "amount": None if amount is None else _positive(amount),
        "entry": entry_id,
        "event": event_id,
    }
    fresh = {"lot": uuid7(), "priority": PRIORITIES[LotKind.REFUND]}
    posting = _post(_body(organization_id, item, fresh, reason, actor, key), at)
    if not posting.replayed:
        facts = {"charge_id": entry_id, "entry_id": posting.entry_id, "balance": posting.balance}
        publish(type="credits.refunded", organization_id=organization_id, data=facts, actor=actor, at=at)
    return posting


def reverse_entry(
    *, organization_id: UUID, entry_id: UUID, reason: str, actor: str, at: datetime, key: str | None = None
) -> Posting:
    """Undo an entry by its opposite: a charge is given back in full, a grant's unspent lot is voided."""
    entry = LedgerEntry.objects.filter(pk=entry_id, account_id=organization_id).first()
    if entry is None:
        raise UnknownEntry
    if entry.amount > 0 and entry.kind in (EntryKind.GRANT, EntryKind.ADJUSTMENT):
        lot_id = UUID(entry.allocations[0]["lot"])
        return void_lot(organization_id=organization_id, lot_id=lot_id, reason=reason, actor=actor, at=at, key=key)
    return refund_charge(
        organization_id=organization_id,
        entry_id=entry_id,
        reason=reason,
        actor=actor,
        at=at,
        key=key,
        kind=EntryKind.REVERSAL,
    )


def void_lot(
    *, organization_id: UUID, lot_id: UUID, reason: str, actor: str, at: datetime, key: str | None = None
) -> Posting:
    """Take back what is neither spent nor held of a lot. Raises UnknownLot, NothingLeft."""
    return _post(_body(organization_id, {"type": "void", "lot": lot_id}, {}, reason, actor, key), at)


def _positive(amount: Decimal) -> Decimal:
    if not amount.is_finite() or amount <= 0 or amount != quantize(amount):
        raise InvalidRequest("The amount must be positive and have at most 12 decimal places.")
    return amount


def _body(
    organization_id: UUID,
    item: dict[str, Any],
    generated: dict[str, Any],
    reason: str,
    actor: str,
    key: str | None,
) -> dict[str, Any]:
    """``generated`` differs between two sendings of one request, so it stays out of the request's hash.

    So does the form of an amount: ``1`` and ``1.00`` are one. ``exact_hash`` is with it, as hashes were made once.
    """
    asked = {**item, "reason": reason}
    plain = {name: to_wire(value) if isinstance(value, Decimal) else value for name, value in asked.items()}
    return {
        **item,
        **generated,
        "account": organization_id,
        "key": key,
        "reason": reason,
        "actor": actor,
        "request_hash": _hash_of(plain) if key else "",
        "exact_hash": _hash_of(asked) if key else "",
    }


def _hash_of(asked: dict[str, Any]) -> str:
    return hashlib.sha256(dumps(asked)).hexdigest()


def _post(body: dict[str, Any], at: datetime) -> Posting:
    bring_up_to_date([body["account"]], at)
    [row] = post_batch([body], at=at)
    if row["status"] == "key_reused" and body["exact_hash"] != body["request_hash"]:
        # The key is known, so nothing can be posted by asking again.
        [row] = post_batch([{**body, "request_hash": body["exact_hash"]}], at=at)
    if row["status"] not in ("posted", "replayed"):
        _refuse(row, body)
    return Posting(
        entry_id=row["entry_id"],
        balance=row["balance"],
        held=row["held"],
        available=row["available"],
        replayed=row["status"] == "replayed",
        lot_id=body["lot"] if body["type"] == "grant" and row["status"] == "posted" else None,
    )


def _refuse(row: dict[str, Any], body: dict[str, Any]) -> NoReturn:
    if row["status"] == "insufficient":
        raise InsufficientCredits(
            f"This needs {to_wire(body['amount'])} USD; {to_wire(row['available'])} USD is available.",
            required=body["amount"],
            available=row["available"],
        )
    if row["status"] == "key_reused":
        raise KeyReused(key=body["key"])
    raise _REFUSALS[row["status"]]()


_REFUSALS = {
    "no_account": UnknownAccount,
    "unknown_entry": UnknownEntry,
    "unknown_lot": UnknownLot,
    "not_refundable": NotRefundable,
    "exceeds_charge": ExceedsCharge,
    "nothing_left": NothingLeft,
    "limit_exceeded": SpendLimitReached,
}
