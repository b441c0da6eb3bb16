"""What-ifs: short ones are answered at once, long ones worked off by a job that says how far it is."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Mode, Organization
from accounts.services import lock_organization
from advice.errors import TooManyWhatIfs
from advice.models import RunStatus, WhatIfRun
from advice.what_if.change import Change, terms_of_change
from advice.what_if.meters import Meters
from advice.what_if.prices import Prices
from advice.what_if.reading import Asked, batches, expected_events, organizations_with_usage
from advice.what_if.replay import KEPT, UNPRICED, replayer
from advice.what_if.totals import Tally
from core.errors import DomainError

AT_ONCE = 20_000  # events; more are a worker's
MOST_OPEN = 5  # of one organization
MOST_ATTEMPTS = 3
_LEASE = timedelta(minutes=2)
_TELL_EVERY = 1.0  # seconds


def start_what_if(
    *, organization_id: UUID | None, asked: Asked, change: Change, requested_by: str, at: datetime
) -> WhatIfRun:
    """Replay the events of an organization (None: of all live ones, an operator's question) with ``change``.

    What is short is done when this answers; anything else waits for a worker, and the run tells how far it is. Raises
    TooManyWhatIfs, InvalidRequest, NoSuchModel, InvalidPrice.
    """
    terms_of_change(change, at, may_use_any_tier=organization_id is None)
    if organization_id is None:
        expected = sum(organizations_with_usage(asked, mode=Mode.LIVE).values())
    else:
        expected = expected_events(organization_id, asked)
    is_short = expected <= AT_ONCE
    run = WhatIfRun(
        organization_id=organization_id,
        starts_at=asked.start,
        ends_at=asked.end,
        only=_plain(asked),
        change=change.to_json(),
        events_expected=expected,
        requested_by=requested_by[:120],
        created_at=at,
        status=RunStatus.RUNNING if is_short else RunStatus.WAITING,
        started_at=at if is_short else None,
        claimed_until=at + _LEASE if is_short else None,
        attempts=int(is_short),
    )
    _open(run)
    if is_short:
        _carry_out(run)
    return run


def work_off_what_ifs(*, limit: int = 20) -> int:
    """Carry out up to ``limit`` waiting what-ifs, and those that a dead worker has left; how many events were read."""
    read = 0
    for _ in range(limit):
        run = _claim(timezone.now())
        if run is None:
            break
        read += _carry_out(run)
    return read


def forget_what_ifs(*, at: datetime) -> int:
    """Delete what-ifs that are older than their time; how many."""
    return WhatIfRun.objects.filter(created_at__lt=at - WhatIfRun.KEPT_FOR).delete()[0]


@transaction.atomic
def _open(run: WhatIfRun) -> None:
    """Count and add in one transaction: many at once are no more than MOST_OPEN. Raises TooManyWhatIfs."""
    if run.organization_id is not None:
        lock_organization(run.organization_id)
        _refuse_crowd(run.organization_id)
    run.save(force_insert=True)


def _refuse_crowd(organization_id: UUID) -> None:
    open_ones = WhatIfRun.objects.filter(
        organization_id=organization_id, status__in=(RunStatus.WAITING, RunStatus.RUNNING)
    ).count()
    if open_ones >= MOST_OPEN:
        raise TooManyWhatIfs(running=open_ones)


def _plain(asked: Asked) -> dict[str, object]:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in asked.only.items()}


def _claim(at: datetime) -> WhatIfRun | None:
    with transaction.atomic():
        is_left = Q(status=RunStatus.RUNNING, claimed_until__lt=at)
        rows = WhatIfRun.objects.select_for_update(skip_locked=True, of=("self",)).order_by("created_at")
        run = rows.filter(Q(status=RunStatus.WAITING) | is_left).first()
        if run is None:
            return None
        run.status, run.started_at, run.events_done = RunStatus.RUNNING, at, 0
        run.attempts, run.claimed_until = run.attempts + 1, at + _LEASE
        run.save(update_fields=["status", "started_at", "events_done", "attempts", "claimed_until"])
        return run


def _carry_out(run: WhatIfRun) -> int:
    """Replay a claimed run and keep the answer; how many events were read."""
    if run.attempts > MOST_ATTEMPTS:
        _finish(run, RunStatus.FAILED, error="The worker was stopped each time.")
        return 0
    try:
        tally = _replay(run)
    except DomainError as refusal:
        _finish(run, RunStatus.FAILED, error=refusal.detail)
        return run.events_done
    except Exception:
        _finish(run, RunStatus.FAILED, error="It could not be computed; the operator's log says why.")
        raise
    run.result = tally.to_json()
    if run.organization_id is None:
        names = dict(Organization.objects.filter(id__in=tally.by_organization).values_list("id", "name"))
        run.by_organization = tally.organizations_json(names)
    _finish(run, RunStatus.DONE)
    return run.events_done


def _finish(run: WhatIfRun, status: str, *, error: str = "") -> None:
    run.status, run.error, run.finished_at, run.claimed_until = status, error[:300], timezone.now(), None
    run.save()


def _replay(run: WhatIfRun) -> Tally:
    change = Change.from_json(run.change)
    is_named = "model" in run.only or "kind" in run.only
    terms = terms_of_change(change, run.created_at, may_use_any_tier=True, of_any_kind=is_named)
    asked = Asked(run.starts_at, run.ends_at, run.only)
    replay, tally, told_at = replayer(terms, Prices()), Tally(change), time.monotonic()
    for organization_id, zone in _organizations(run, asked):
        own = tally.organization(organization_id, zone)
        meters = Meters(organization_id, None if terms.tier is None else terms.tier.metered_prices, zone)
        for events in batches(organization_id, asked):
            meters.look_at([event.id for event in events], events[0].occurred_at, events[-1].occurred_at)
            for event in events:
                replayed = replay(event)
                if metered := meters.replayed(event.id, event.occurred_at):
                    replayed = replayed._replace(metered=metered)
                if own.add(event, replayed, meters.recorded(event.id)) in (KEPT, UNPRICED):
                    meters.count(event.id)
            run.events_done += len(events)
            if time.monotonic() - told_at > _TELL_EVERY:
                told_at = time.monotonic()
                _tell(run)
    return tally


def _tell(run: WhatIfRun) -> None:
    WhatIfRun.objects.filter(pk=run.pk).update(events_done=run.events_done, claimed_until=timezone.now() + _LEASE)


def _organizations(run: WhatIfRun, asked: Asked) -> Iterable[tuple[UUID, ZoneInfo]]:
    if run.organization_id is None:
        rows = Organization.objects.filter(id__in=organizations_with_usage(asked, mode=Mode.LIVE)).order_by("id")
    else:
        rows = Organization.objects.filter(id=run.organization_id)
    return [(key, ZoneInfo(name)) for key, name in rows.values_list("id", "time_zone")]
