"""Rollovers that wait for holds: the credit was reserved by a call that ran across the boundary."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.services import lock_organization
from credits.endings import read_endings, sweep_wallets
from outbox.taskruns import apart
from tiers.close.batch import give, settle_rollover
from tiers.close.models import PeriodClose
from tiers.close.rollover import rollover_item, rule_of


def finish_waiting(organization_id: UUID, at: datetime) -> int:
    """Roll over what waited for holds that have ended by ``at``; the number of closes that wait no longer.

    The caller holds the organization's lock.
    """
    done = 0
    for close in (
        PeriodClose.objects.waiting()
        .filter(organization_id=organization_id)
        .select_related("subscription__tier")
        .order_by("ends_at")
    ):
        sweep_wallets([organization_id], at)
        [ending] = read_endings([(organization_id, close.ends_at)])
        if ending.is_held:
            break
        rule = rule_of(close.subscription, close.period_index, ends=_has_ended(close))
        settle_rollover(close, rule, ending)
        if item := rollover_item(close, rule, at):
            give([item], at)
        close.save(update_fields=["expired", "rolled_over"])
        done += 1
    if done:
        sweep_wallets([organization_id], at)  # what was kept may have ended meanwhile
    return done


def _has_ended(close: PeriodClose) -> bool:
    """Whether the subscription ended with the period, so that nothing is kept of it."""
    subscription = close.subscription
    return subscription.ended_at == close.ends_at and subscription.end_reason == "canceled"


def finish_all_waiting(*, at: datetime, limit: int) -> int:
    """The same for every organization, until ``limit`` closes wait no longer.

    Those that must go on waiting, or fail, keep no other from its turn.
    """
    waiting = PeriodClose.objects.waiting().order_by("ends_at", "id").values_list("organization_id", flat=True)
    done = 0
    for organization_id in dict.fromkeys(waiting):
        with apart("close_not_finished", organization_id), transaction.atomic():
            lock_organization(organization_id)
            done += finish_waiting(organization_id, at)
        if done >= limit:
            break
    return done
