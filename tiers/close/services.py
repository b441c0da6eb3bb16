"""Closing periods: by the beat, one by one, and before a wallet moves."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from accounts.services import lock_organization
from core.errors import NotFound
from credits.upkeep import before_movements
from tiers.close.batch import close_batch
from tiers.close.due import find_due, forget_due
from tiers.close.models import PeriodClose
from tiers.close.waiting import finish_waiting
from tiers.models import Subscription
from tiers.services import open_subscription

log = structlog.get_logger(__name__)

# Enough that statements are shared, few enough that no wallet is locked for long.
BATCH = 200
_closing: ContextVar[bool] = ContextVar("closing", default=False)


class CloseFailed(RuntimeError):
    """Some subscriptions could not be closed; all others were."""


def close_due(*, at: datetime, limit: int = 100_000, batch: int = BATCH) -> int:
    """Close up to ``limit`` boundaries that lie at or before ``at``, oldest first; how many were closed.

    Safe to run twice and at the same time: each takes what no other has claimed. Raises CloseFailed at the end when a
    subscription stood in its own way.
    """
    closed = 0
    failed: dict[UUID, str] = {}
    while closed < limit:
        taken = _close_some(at, min(batch, limit - closed), failed)
        if not taken:
            break
        closed += taken
    if failed:
        raise CloseFailed(f"{len(failed)} not closed: {dict(list(failed.items())[:5])}")
    return closed


def close_period(*, subscription_id: UUID, at: datetime) -> PeriodClose | None:
    """Close the present period of one subscription if it is over at ``at``; None when it is not. Raises NotFound."""
    organization_id = Subscription.objects.filter(id=subscription_id).values_list("organization_id", flat=True).first()
    if organization_id is None:
        raise NotFound()
    with transaction.atomic(), _as_the_close():
        lock_organization(organization_id)
        subscription = open_subscription(organization_id)
        if subscription is None or subscription.id != subscription_id or subscription.period_ends_at > at:
            return None
        finish_waiting(organization_id, at)
        return close_batch([subscription], at)[0]


def close_organization(organization_id: UUID, at: datetime) -> int:
    """Close every boundary of an organization up to ``at``, in order; how many there were."""
    closed = 0
    with transaction.atomic(), _as_the_close():
        lock_organization(organization_id)
        finish_waiting(organization_id, at)
        while (subscription := open_subscription(organization_id)) and subscription.period_ends_at <= at:
            close_batch([subscription], at)
            closed += 1
    return closed


@before_movements
def close_before(organization_ids: Collection[UUID], at: datetime) -> None:
    """Close what is over before a wallet moves: usage meets the right books however long no job has run."""
    if _closing.get():
        return
    for organization_id in find_due(organization_ids, at):
        close_organization(organization_id, at)


def _claim(at: datetime, count: int, failed: Collection[UUID]) -> list[Subscription]:
    """Due subscriptions that nobody else is working on, with their organizations locked, oldest boundary first."""
    due = Subscription.objects.due(at).exclude(id__in=failed).order_by("period_ends_at", "id")
    due = due.select_related("organization", "tier", "next_tier", "paid_tier")
    return list(due.select_for_update(of=("organization", "self"), no_key=True, skip_locked=True)[:count])


def _close_some(at: datetime, count: int, failed: dict[UUID, str]) -> int:
    """One batch, or one by one where the batch does not go through."""
    claimed: list[Subscription] = []
    try:
        with transaction.atomic(), _as_the_close():
            claimed = _claim(at, count, list(failed))
            if claimed:
                close_batch(claimed, at)
    except Exception as error:
        if not claimed:
            raise
        log.warning("close_batch_failed", count=len(claimed), error=repr(error))
        for each in claimed:
            _close_alone(each.id, at, failed)
    finally:
        forget_due({each.organization_id for each in claimed})
    return len(claimed)


def _close_alone(subscription_id: UUID, at: datetime, failed: dict[UUID, str]) -> None:
    try:
        close_period(subscription_id=subscription_id, at=at)
    except Exception as error:
        log.exception("close_failed", subscription_id=str(subscription_id))
        failed[subscription_id] = repr(error)[:200]


@contextmanager
def _as_the_close() -> Iterator[None]:
    """What the close itself posts needs no closing before it."""
    token = _closing.set(True)
    try:
        yield
    finally:
        _closing.reset(token)
