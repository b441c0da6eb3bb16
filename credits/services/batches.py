"""Files of movements: checked as a whole, shown, confirmed by an operator, then carried out row by row.

Each row is a movement of its own with a key made from the file and the line, so that stopping half-way, running twice
and beginning again give the same books.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from core.errors import DomainError, InvalidRequest, KeyReused
from credits.batch_file import Line, read_lines
from credits.errors import BatchNotReady
from credits.models import LedgerEntry
from credits.operations import BatchStatus, MovementBatch, MovementRow, RowStatus
from credits.services.postings import Posting, adjust_balance, deduct_credits, grant_credits, refund_charge
from outbox.services import publish
from outbox.taskruns import apart


def check_batch(
    *, name: str, reason: str, file_name: str, content: bytes, actor: Actor, at: datetime
) -> tuple[MovementBatch, bool]:
    """Read a file and try every movement without keeping it; the batch, and whether it is a new one.

    A file that was confirmed under ``name`` is answered with what became of it; one that was only checked is checked
    anew. Raises InvalidRequest when it cannot be read, KeyReused when another file was confirmed under ``name``.
    """
    name, reason = " ".join(name.split()), reason.strip()
    if not name or not reason:
        raise InvalidRequest("Give the file a name of its own and a reason.")
    digest = hashlib.sha256(content).hexdigest()
    confirmed = MovementBatch.objects.filter(name=name).exclude(status=BatchStatus.CHECKED).first()
    if confirmed is not None:
        if confirmed.digest != digest or confirmed.reason != reason:
            raise KeyReused(f"Another file was carried out as “{name}”. Choose another name for this one.", key=name)
        return confirmed, False
    lines = read_lines(content, at)
    with transaction.atomic():
        MovementBatch.objects.filter(name=name, status=BatchStatus.CHECKED).delete()
        batch = MovementBatch.objects.create(
            name=name[:80],
            reason=reason,
            file_name=file_name[:200],
            digest=digest,
            row_count=len(lines),
            uploaded_by=actor.label,
            uploaded_at=at,
        )
        MovementRow.objects.bulk_create([_row(batch, line) for line in lines])
    _try_rows(batch, at)
    return batch, True


@transaction.atomic
def confirm_batch(*, batch_id: UUID, actor: Actor, at: datetime) -> MovementBatch:
    """Let the movements of a checked file be carried out, in ``actor``'s name. Raises BatchNotReady, KeyReused."""
    batch = _lock(batch_id)
    if batch.status != BatchStatus.CHECKED:
        raise BatchNotReady("This file was confirmed before; its movements are carried out once.")
    if batch.invalid_count:
        raise BatchNotReady("Some lines cannot be carried out. Correct the file and send it again.")
    if MovementBatch.objects.filter(name=batch.name).exclude(status=BatchStatus.CHECKED).exists():
        raise KeyReused(f"Another file was carried out as “{batch.name}”.", key=batch.name)
    batch.rows.update(moved=None, balance_after=None)
    batch.status, batch.confirmed_by, batch.confirmed_at = BatchStatus.RUNNING, actor.label, at
    batch.save(update_fields=["status", "confirmed_by", "confirmed_at"])
    _tell("confirmed", batch, actor, at)
    return batch


@transaction.atomic
def retry_batch(*, batch_id: UUID, actor: Actor, at: datetime) -> int:
    """Let the rows that were refused when their turn came be tried again; how many. Raises BatchNotReady."""
    batch = _lock(batch_id)
    if batch.status != BatchStatus.DONE:
        raise BatchNotReady("Only a file that has been gone through can be tried again.")
    failed = batch.rows.filter(status=RowStatus.FAILED).update(status=RowStatus.WAITING, error="")
    if not failed:
        raise BatchNotReady("Every line was carried out.")
    batch.status, batch.finished_at = BatchStatus.RUNNING, None
    batch.save(update_fields=["status", "finished_at"])
    _tell("tried_again", batch, actor, at)
    return failed


@transaction.atomic
def discard_batch(*, batch_id: UUID, actor: Actor, at: datetime) -> None:
    """Forget a file of which nothing was carried out. Raises BatchNotReady."""
    batch = _lock(batch_id)
    if batch.status != BatchStatus.CHECKED:
        raise BatchNotReady("What was carried out is kept.")
    _tell("discarded", batch, actor, at)
    batch.delete()


def apply_batches(*, at: datetime, limit: int = 2_000) -> int:
    """Carry out up to ``limit`` waiting rows of confirmed files, in the order of their lines; how many."""
    done = 0
    for batch_id in MovementBatch.objects.filter(status=BatchStatus.RUNNING).values_list("id", flat=True):
        with apart("credits.file_stopped", batch_id):
            while done < limit and _apply_next(batch_id, at):
                done += 1
    return done


@transaction.atomic
def _apply_next(batch_id: UUID, at: datetime) -> bool:
    """One row, one transaction: no wallet waits for another's. Whoever works on a file keeps others off it."""
    batch = (
        MovementBatch.objects.select_for_update(skip_locked=True)
        .filter(pk=batch_id, status=BatchStatus.RUNNING)
        .first()
    )
    if batch is None:
        return False
    row = batch.rows.filter(status=RowStatus.WAITING).order_by("line").first()
    if row is None:
        batch.status, batch.finished_at = BatchStatus.DONE, at
        batch.save(update_fields=["status", "finished_at"])
        return False
    try:
        with transaction.atomic():
            posting = _move(row, batch.reason, batch.confirmed_by, f"batch:{batch.id}:{row.line}", at)
    except DomainError as refusal:
        row.status, row.error = RowStatus.FAILED, refusal.detail[:300]
    else:
        row.status, row.error = RowStatus.DONE, ""
        _note(row, posting)
    row.save(update_fields=["status", "error", "entry_id", "moved", "balance_after"])
    return True


def _move(row: MovementRow, reason: str, actor: str, key: str, at: datetime) -> Posting:
    """The same services as for a single movement. Raises what they raise."""
    common: dict[str, Any] = {"reason": row.reason or reason, "actor": actor, "at": at, "key": key}
    common |= {"organization_id": row.organization_id, "amount": row.amount}
    if row.action == "refund":
        charge: Any = row.charge_id
        return refund_charge(entry_id=charge, **common)
    if row.action == "deduct":
        return deduct_credits(allow_overage=False, **common)
    if row.action == "adjust":
        return adjust_balance(**common)
    return grant_credits(kind=row.kind, expires_at=row.expires_at, **common)


def _note(row: MovementRow, posting: Posting) -> None:
    row.entry_id, row.balance_after = posting.entry_id, posting.balance
    entry: Any = posting.entry_id
    row.moved = LedgerEntry.objects.values_list("amount", flat=True).get(pk=entry)


def _row(batch: MovementBatch, line: Line) -> MovementRow:
    return MovementRow(
        batch=batch,
        line=line.number,
        cells=line.cells,
        organization_id=line.organization,
        action=line.action,
        amount=line.amount,
        kind=line.kind,
        expires_at=line.expires_at,
        charge_id=line.charge,
        reason=line.reason,
        note=line.note,
        error=" ".join(line.errors)[:300],
        status=RowStatus.INVALID if line.errors else RowStatus.WAITING,
    )


def _try_rows(batch: MovementBatch, at: datetime) -> None:
    """What each row would do after those before it: the movements themselves, rolled back wallet by wallet."""
    valid = batch.rows.filter(status=RowStatus.WAITING).order_by("organization_id", "line")
    tried: list[MovementRow] = []
    for _, rows in groupby(valid, key=lambda row: row.organization_id):
        tried += _try_wallet(batch, list(rows), at)
    fields = ["status", "error", "moved", "balance_after"]
    MovementRow.objects.bulk_update(tried, fields, batch_size=500)
    batch.invalid_count = batch.rows.filter(status=RowStatus.INVALID).count()
    batch.save(update_fields=["invalid_count"])


def _try_wallet(batch: MovementBatch, rows: Sequence[MovementRow], at: datetime) -> Sequence[MovementRow]:
    with transaction.atomic():
        for row in rows:
            try:
                with transaction.atomic():
                    _note(row, _move(row, batch.reason, batch.uploaded_by, f"batch:{batch.id}:{row.line}", at))
            except DomainError as refusal:
                row.status, row.error = RowStatus.INVALID, refusal.detail[:300]
        transaction.set_rollback(True)
    return rows


def _lock(batch_id: UUID) -> MovementBatch:
    batch = MovementBatch.objects.select_for_update().filter(pk=batch_id).first()
    if batch is None:
        raise BatchNotReady("There is no such file any more.")
    return batch


def _tell(news: str, batch: MovementBatch, actor: Actor, at: datetime) -> None:
    facts = {"batch": batch.id, "name": batch.name, "sha256": batch.digest, "rows": batch.row_count}
    data = {**facts, "reason": batch.reason}
    publish(type=f"credits.batch_{news}", organization_id=None, data=data, actor=actor, at=at)
