"""Which calls are to be recovered: their holds are open, and nobody will end them any more."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import redis
import structlog
from django.conf import settings

from credits.models import Hold, HoldPurpose
from openrouter.gateway.books import Note, note_batch
from openrouter.gateway.processes import beat_key, is_gone
from openrouter.gateway.ticket import Ticket

log = structlog.get_logger(__name__)

# Left to the process that made the call: it looks the record up itself as long as it lives.
OWN_TRIES = timedelta(seconds=40)
_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=2)


class Traces(msgspec.Struct, kw_only=True):
    """What was added to a hold's context after it was placed."""

    generation: str = ""
    served: str = ""
    provider: str = ""
    status: str = "error"
    ended_at: datetime | None = None  # without a bill
    orphaned_at: datetime | None = None  # first seen without its process
    attempts: list[dict[str, Any]] = []
    looked: int = 0
    next_look_at: datetime | None = None


@dataclass(slots=True)
class Unresolved:
    """A call nobody is working on."""

    hold: Hold
    ticket: Ticket
    traces: Traces
    since: datetime  # when it ended, as far as is known
    notes: dict[str, Any] = field(default_factory=dict)

    def age(self, at: datetime) -> timedelta:
        """How long its record has had to appear."""
        return at - self.since


def unresolved_calls(at: datetime, *, at_once: bool = False) -> list[Unresolved]:
    """Calls to be looked at now, oldest first. ``at_once`` passes over the pauses between looks.

    All of a key come together: the key's total tells of all its unresolved calls or of none.
    """
    found = _abandoned_calls(at)
    due = {
        (call.ticket.mode, call.ticket.key_hash)
        for call in found
        if at_once or call.traces.next_look_at is None or call.traces.next_look_at <= at
    }
    return [call for call in found if (call.ticket.mode, call.ticket.key_hash) in due]


def _abandoned_calls(at: datetime) -> list[Unresolved]:
    holds = Hold.objects.open().filter(purpose=HoldPurpose.GATEWAY).order_by("placed_at")
    found = []
    lives = _Lives()
    for hold in holds.iterator(chunk_size=500):
        call = _read(hold)
        if call is None:
            continue
        ticket, traces = call
        since = _abandoned_since(hold, ticket, traces, lives, at)
        if since is None:
            continue
        unresolved = Unresolved(hold, ticket, traces, since)
        if traces.ended_at is None and traces.orphaned_at is None:
            unresolved.notes["orphaned_at"] = since
        found.append(unresolved)
    return found


def postpone(call: Unresolved, at: datetime) -> None:
    """Look again later, each time after a longer pause, but as soon as the time for its record is over."""
    pause = min(_FIRST_PAUSE * 2 ** min(call.traces.looked, 16), _LONGEST_PAUSE)
    left = timedelta(seconds=settings.GATEWAY_RECOVERY_SECONDS) - call.age(at)
    if left > timedelta(0):
        pause = min(pause, left)
    call.notes |= {"looked": call.traces.looked + 1, "next_look_at": at + pause}


def _read(hold: Hold) -> tuple[Ticket, Traces] | None:
    try:
        return Ticket.read(hold.context), msgspec.convert(hold.context, Traces, strict=False)
    except msgspec.ValidationError:
        log.error("recovery.unreadable_hold", hold=str(hold.id))
        return None


def _abandoned_since(hold: Hold, ticket: Ticket, traces: Traces, lives: "_Lives", at: datetime) -> datetime | None:
    """Since when nobody works on the call; None while somebody may."""
    if lives.is_dead(ticket.process):
        return traces.ended_at or traces.orphaned_at or at
    if traces.ended_at is not None and traces.ended_at + OWN_TRIES <= at:
        return traces.ended_at
    return hold.expires_at if hold.expires_at <= at else None


class _Lives:
    """Which gateway processes are dead; each is asked about once. What cannot be known counts as alive."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}
        self._redis: redis.Redis | None = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)

    def is_dead(self, process: str) -> bool:
        if process not in self._known:
            seen_here = is_gone(process)
            self._known[process] = self._is_silent(process) if seen_here is None else seen_here
        return self._known[process]

    def _is_silent(self, process: str) -> bool:
        if not process or self._redis is None:
            return False
        try:
            return not self._redis.exists(beat_key(process))
        except redis.RedisError:
            self._redis = None
            return False


def write_notes(calls: Iterable[Unresolved]) -> None:
    """Keep what was found out on the holds that are still open."""
    notes = [Note(call.hold.id, call.notes) for call in calls if call.notes]
    if notes:
        note_batch(notes)
