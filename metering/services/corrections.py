"""Taking events back: the charge is reversed, the sums forget the event, a corrected one may take its place."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection, transaction

from accounts.services import lock_organization
from credits.errors import ExceedsCharge
from credits.models import EntryKind
from credits.services import refund_charge
from metering.customer_news import tell_of_usage
from metering.errors import AlreadyCorrected, UnknownEvent
from metering.models import UsageCorrection, UsageEvent
from metering.records import UsageOutcome, UsageRecord, hash_of
from metering.refusals import refuse
from metering.services.recording import record_usage


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction and, when the event was replaced, its replacement. ``replayed``: nothing moved this time."""

    correction: UsageCorrection
    replayed: bool
    replacement: UsageOutcome | None = None


def void_event(*, organization_id: UUID, event_id: UUID, reason: str, actor: str, at: datetime) -> Corrected:
    """Make an event count no longer and give back what is left of its charge.

    Voiding twice changes nothing. Raises UnknownEvent, AlreadyCorrected (it was replaced).
    """
    with transaction.atomic():
        event = _lock(organization_id, event_id)
        if (known := _correction_of(event)) is not None:
            if known.replacement_id is not None:
                raise AlreadyCorrected(replacement_id=known.replacement_id)
            return Corrected(known, replayed=True)
        correction = _correct(event, reason=reason, actor=actor, at=at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT void_usage(%s, %s, %s)", [organization_id, event_id, at])
        tell_of_usage([event], at=at)
        return Corrected(correction, replayed=False)


def correct_event(
    *, organization_id: UUID, event_id: UUID, replacement: UsageRecord, reason: str, actor: str, at: datetime
) -> Corrected:
    """Replace an event by ``replacement``, which is charged anew; both or neither.

    Sending the same replacement (by its ``content_hash``) again changes nothing. Raises UnknownEvent, AlreadyCorrected
    (it was voided or replaced by another), and the ledger's refusals of the new charge; then the event stands as it
    was.
    """
    replacement.corrects_id = event_id
    replacement.external_id = None  # the first event keeps the caller's id
    content = replacement.content_hash or hash_of(msgspec.structs.replace(replacement, id=event_id))
    with transaction.atomic():
        event = _lock(organization_id, event_id)
        if (known := _correction_of(event)) is not None:
            if known.content_hash != content or known.replacement_id is None:
                raise AlreadyCorrected(replacement_id=known.replacement_id)
            first = UsageOutcome(status="duplicate", event_id=known.replacement_id)
            return Corrected(known, replayed=True, replacement=first)
        replacement.received_at = event.received_at  # it stays in its period
        correction = _correct(
            event, reason=reason, actor=actor, at=at, replacement_id=replacement.id, content_hash=content
        )
        [outcome] = record_usage([replacement], at=at)
        if outcome.status != "recorded":
            refuse(replacement, outcome)
        tell_of_usage([event, replacement], at=at)
        return Corrected(correction, replayed=False, replacement=outcome)


def _lock(organization_id: UUID, event_id: UUID) -> UsageEvent:
    """The event, which nobody else corrects meanwhile.

    The organization comes first: what is posted below may have to close its period while the wallet is locked already,
    and a close locks them in the other order.
    """
    lock_organization(organization_id)
    event = (
        UsageEvent.objects.select_for_update(no_key=True).filter(organization_id=organization_id, id=event_id).first()
    )
    if event is None:
        raise UnknownEvent
    return event


def _correction_of(event: UsageEvent) -> UsageCorrection | None:
    return UsageCorrection.objects.filter(organization_id=event.organization_id, event_id=event.id).first()


def _correct(
    event: UsageEvent,
    *,
    reason: str,
    actor: str,
    at: datetime,
    replacement_id: UUID | None = None,
    content_hash: UUID | None = None,
) -> UsageCorrection:
    return UsageCorrection.objects.create(
        organization_id=event.organization_id,
        event_id=event.id,
        occurred_at=event.occurred_at,
        replacement_id=replacement_id,
        entry_id=_give_back(event, reason, actor, at),
        content_hash=content_hash,
        reason=reason,
        actor=actor,
        created_at=at,
    )


def _give_back(event: UsageEvent, reason: str, actor: str, at: datetime) -> UUID | None:
    """Reverse what is left of the event's charge; the reversal's entry, None when there is nothing to give back."""
    if event.entry_id is None:
        return None
    try:
        posting = refund_charge(
            organization_id=event.organization_id,
            entry_id=event.entry_id,
            reason=reason,
            actor=actor,
            at=at,
            kind=EntryKind.REVERSAL,
            key=f"void:{event.id}",
            event_id=event.id,
        )
    except ExceedsCharge:  # refunded in full before
        return None
    return posting.entry_id
