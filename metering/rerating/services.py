"""Trying, applying and reversing a re-rating.

Each event is corrected by the same mechanism as any correction: the old charge is reversed on the ledger, the new one
posted, the sums follow. Its row says what became of it in the same transaction, so that a run that was killed goes on
where it stopped, and running twice changes nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.principal import Actor
from core.errors import DomainError, InvalidRequest, NotFound
from metering.errors import ChargeGivenBack, ReratingNotReady
from metering.models import ModelPrice, UsageEvent
from metering.prices import PriceCard
from metering.rerating.models import ReratedEvent, ReratedStatus, Rerating, ReratingStatus
from metering.rerating.rating import record_as_it_was, record_at
from metering.rerating.trying import given_back, try_next, usage_of
from metering.services.corrections import correct_event
from outbox.services import publish
from outbox.taskruns import apart

AT_ONCE = 20_000  # events of a trial; more are a worker's
_STATUS = ReratingStatus


def try_rerating(
    *,
    price_id: UUID,
    pricing: Mapping[str, Any],
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    actor: Actor,
    at: datetime,
) -> Rerating:
    """Compute what charging anew would change, organization by organization; nothing moves.

    Up to AT_ONCE events are looked through before this answers; more are a worker's (:func:`work_off_reratings`), and
    the row says how far it is.

    Only events whose cost was computed from the price row ``price_id`` are concerned: a provider's bill does not rest
    on our list. Nor are those of whose charge something was given back: it would be charged again.

    Raises InvalidPrice, InvalidRequest, NotFound.
    """
    price, card = _corrected(price_id, pricing)
    if starts_at >= ends_at or not reason.strip():
        raise InvalidRequest("Give a range that ends after it begins, and a reason.")
    rerating = Rerating(
        price=price,
        pricing=card.to_json(),
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason.strip()[:300],
        created_by=actor.label[:120],
        created_at=at,
    )
    rerating.to_examine = usage_of(rerating)
    with transaction.atomic():
        rerating.save(force_insert=True)
        if rerating.to_examine <= AT_ONCE:
            _finish_trying(rerating.pk)
    rerating.refresh_from_db()
    return rerating


@transaction.atomic
def apply_rerating(*, rerating_id: UUID, actor: Actor, at: datetime) -> Rerating:
    """Have a tried one carried out, in ``actor``'s name. Raises ReratingNotReady."""
    rerating = _lock(rerating_id)
    if rerating.status != _STATUS.TRIED:
        raise ReratingNotReady(f"It is {rerating.status}: what was tried to the end is applied once.")
    rerating.status, rerating.applied_by, rerating.applied_at = _STATUS.APPLYING, actor.label[:120], at
    try:
        with transaction.atomic():
            rerating.save(update_fields=["status", "applied_by", "applied_at"])
    except IntegrityError:
        raise ReratingNotReady("Another re-rating of this price is in force: reverse that one first.") from None
    _tell("applied", rerating, actor, at)
    return rerating


@transaction.atomic
def reverse_rerating(*, rerating_id: UUID, actor: Actor, at: datetime) -> Rerating:
    """Have an applied one undone, event by event. Raises ReratingNotReady."""
    rerating = _lock(rerating_id)
    if rerating.status != _STATUS.APPLIED:
        raise ReratingNotReady(f"It is {rerating.status}: only an applied one can be reversed.")
    rerating.status, rerating.reversed_by, rerating.reversed_at = _STATUS.REVERSING, actor.label[:120], at
    rerating.save(update_fields=["status", "reversed_by", "reversed_at"])
    _tell("reversed", rerating, actor, at)
    return rerating


def work_off_reratings(*, limit: int = 5_000) -> int:
    """Go on with trials, and charge up to ``limit`` events of running re-ratings anew, or as they were; how many.

    One that fails keeps no other waiting: it is tried again by the next run.
    """
    done = 0
    for rerating_id in (
        Rerating.objects.filter(status=_STATUS.TRYING).order_by("created_at").values_list("pk", flat=True)
    ):
        with apart("rerating.stopped", rerating_id):
            done += _finish_trying(rerating_id)
    for rerating in Rerating.objects.filter(status__in=(_STATUS.APPLYING, _STATUS.REVERSING)).order_by("created_at"):
        with apart("rerating.stopped", rerating.pk):
            while done < limit and _one(rerating):
                done += 1
            _finish(rerating)
    return done


def _corrected(price_id: UUID, pricing: Mapping[str, Any]) -> tuple[ModelPrice, PriceCard]:
    price = ModelPrice.objects.filter(pk=price_id).first()
    if price is None:
        raise NotFound("There is no such price row.")
    card = PriceCard.from_json(pricing)
    if card.is_dynamic():
        raise InvalidRequest("A corrected price must be a price; -1 is the provider's word.")
    return price, card


def _finish_trying(rerating_id: UUID) -> int:
    """Look through what is left; how many organizations."""
    done = 0
    while try_next(rerating_id):
        done += 1
    return done


# ---------------------------------------------------------------- carrying out


def _one(rerating: Rerating) -> bool:
    """Carry out the next event, its correction and its row in one transaction; False when none is left."""
    wanted = ReratedStatus.WAITING if rerating.status == _STATUS.APPLYING else ReratedStatus.CHANGED
    with transaction.atomic():
        rows = ReratedEvent.objects.select_for_update(skip_locked=True).filter(rerating=rerating, status=wanted)
        row = rows.order_by("id").first()
        if row is None:
            return False
        try:
            with transaction.atomic():
                (_change if wanted == ReratedStatus.WAITING else _restore)(rerating, row)
        except DomainError as refusal:
            row.status, row.error = ReratedStatus.REFUSED, refusal.detail[:300]
        row.save()
        return True


def _change(rerating: Rerating, row: ReratedEvent) -> None:
    event = _event(row, row.event_id)
    record = record_at(event, PriceCard.from_json(rerating.pricing), rerating.pk, rerating.reason)
    if record is None:
        raise InvalidRequest("The corrected price list has no price for what was used.")
    row.replacement_id = _correct(rerating, event, record, rerating.applied_by)
    row.status = ReratedStatus.CHANGED


def _restore(rerating: Rerating, row: ReratedEvent) -> None:
    event = _event(row, row.event_id)
    replaced: Any = row.replacement_id
    row.restored_id = _correct(
        rerating, _event(row, replaced), record_as_it_was(event, rerating.pk), rerating.reversed_by
    )
    row.status = ReratedStatus.RESTORED


def _event(row: ReratedEvent, event_id: UUID) -> UsageEvent:
    """The event, or one that took its place: that happened at the same time."""
    return UsageEvent.objects.get(organization_id=row.organization_id, id=event_id, occurred_at=row.occurred_at)


def _correct(rerating: Rerating, event: UsageEvent, record: Any, actor: str) -> UUID:
    """Looked at again once it is done: now the wallet is locked, and whoever gave back in between is seen."""
    _refuse_given_back(event)
    done = correct_event(
        organization_id=record.organization_id,
        event_id=event.id,
        replacement=record,
        reason=rerating.reason,
        actor=actor,
        at=timezone.now(),
    )
    _refuse_given_back(event, but=done.correction.entry_id)
    found: Any = done.correction.replacement_id
    return found


def _refuse_given_back(event: UsageEvent, *, but: UUID | None = None) -> None:
    """Raises ChargeGivenBack when anything of its charge was given back, ``but`` by this entry."""
    if event.entry_id is None or event.voided_at is not None:
        return
    if given_back(event.entry_id).exclude(pk=but).exists():
        raise ChargeGivenBack()


@transaction.atomic
def _finish(rerating: Rerating) -> None:
    """Note the end, once no event is left."""
    locked = _lock(rerating.pk)
    if locked.status not in (_STATUS.APPLYING, _STATUS.REVERSING):
        return
    left = ReratedStatus.WAITING if locked.status == _STATUS.APPLYING else ReratedStatus.CHANGED
    if locked.events.filter(status=left).exists():
        return
    locked.status = _STATUS.APPLIED if locked.status == _STATUS.APPLYING else _STATUS.REVERSED
    locked.finished_at = timezone.now()
    locked.save(update_fields=["status", "finished_at"])


def _lock(rerating_id: UUID) -> Rerating:
    rerating = Rerating.objects.select_for_update(of=("self",)).filter(pk=rerating_id).first()
    if rerating is None:
        raise NotFound("There is no such re-rating.")
    return rerating


def _tell(news: str, rerating: Rerating, actor: Actor, at: datetime) -> None:
    facts = {"rerating_id": rerating.pk, "model": rerating.price.model_id, "price_id": rerating.price_id}
    data = {**facts, "events": rerating.expected, "difference": rerating.difference, "reason": rerating.reason}
    publish(type=f"rerating.{news}", organization_id=None, data=data, actor=actor, at=at)


def days_of(first: Any, last: Any) -> tuple[datetime, datetime]:
    """[start, end) of the UTC days ``first`` to ``last``, both included."""
    return datetime.combine(first, time.min, UTC), datetime.combine(last + timedelta(days=1), time.min, UTC)
