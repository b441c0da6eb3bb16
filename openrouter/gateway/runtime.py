"""What a gateway process keeps between calls: its client of the provider, its group commits, its running calls."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.db import connection

from core.deadlines import Deadline, Deadlines, Limit
from core.ids import text_of_id
from core.loopcommit import LoopCommit
from core.plainsettings import settings
from credits.services import HoldOutcome, HoldRequest
from metering.estimates.learning import SIZED
from metering.records import UsageOutcome
from metering.tokens import preload
from openrouter.gateway.bill import NOTHING, Bill, Ending, record_of
from openrouter.gateway.books import HOLDS, NOTES, SETTLEMENTS, Note, Settlement, attempt_rows, unresolved_facts
from openrouter.gateway.call import Call
from openrouter.gateway.lookups import Lookups
from openrouter.gateway.measuring import Measuring
from openrouter.gateway.periods import close_what_is_over, is_over
from openrouter.gateway.processes import show_signs_of_life, this_process
from openrouter.gateway.upstream import Upstream
from outbox.services import publish

log = structlog.get_logger(__name__)

# An answer that is not complete so many seconds after its first bytes has its handle at the provider written down. The
# settlement of a shorter one is there as soon; a process that dies before is recovered by sums.
NOTE_AFTER = 0.05
# How long an answer is kept back for its settlement; then it goes out and the settlement follows.
SETTLEMENT_WAIT = 5.0
_ALERT_EVERY = 60.0  # seconds, for the same alert
# What the provider has billed is not forgotten for an outage of the database: meanwhile no call is admitted, so that
# little can pile up.
_PATIENCE = 3600.0


class Gateway:
    """One process's gateway; belongs to the event loop that first uses it."""

    def __init__(self) -> None:
        self.process = this_process()
        self.holds = LoopCommit(HOLDS, name="holds")
        self.settlements = LoopCommit(SETTLEMENTS, name="settlements", longest_queue=50_000, patience=_PATIENCE)
        self.notes = LoopCommit(NOTES, name="notes", patience=_PATIENCE)
        self.lookups = Lookups()
        self.measuring = Measuring()
        self.patience = Deadlines(SETTLEMENT_WAIT)
        self._notes_due = Deadlines(NOTE_AFTER)
        self._whole_answers = Deadlines(settings.GATEWAY_CALL_SECONDS)
        self._streams = Deadlines(settings.GATEWAY_STREAM_SECONDS)
        self._upstream: Upstream | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._carried: dict[asyncio.Future[None], asyncio.Task[None]] = {}  # calls, by what tells of their end
        self._alerted: dict[str, float] = {}
        self._living: asyncio.Task[None] | None = None

    @property
    def upstream(self) -> Upstream:
        """The client of the provider."""
        if self._upstream is None:
            self._upstream = Upstream.open()
        return self._upstream

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something that no client's disconnect can cancel."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def carry_through(self, work: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        """Run ``work``, which raises nothing, to its end. What is returned ends with it; cancelling that stops nothing.

        The same as to shield a task that was spawned, for half as many turns of the loop.
        """
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._carried[ended] = asyncio.ensure_future(self._then_tell(work, ended))
        return ended

    async def _then_tell(self, work: Coroutine[Any, Any, None], ended: "asyncio.Future[None]") -> None:
        try:
            await work
        finally:
            del self._carried[ended]
            if not ended.done():
                ended.set_result(None)

    def live(self) -> None:
        """Begin to show signs of life, so that recovery leaves this process's calls alone."""
        if self._living is None:
            self._living = asyncio.ensure_future(show_signs_of_life(self.process))
            # The first long prompt must not wait for its vocabulary.
            self.spawn(sync_to_async(preload, thread_sensitive=False)())

    # ------------------------------------------------------------ the life of a hold

    async def hold(self, call: Call) -> HoldOutcome:
        """Set aside the most that the call may cost. Raises BooksUnavailable: without a hold nothing is sent."""
        ticket = call.ticket
        ticket.process = self.process
        lifetime = settings.GATEWAY_STREAM_SECONDS if ticket.streams else settings.GATEWAY_CALL_SECONDS
        outcome = await self.holds.submit(
            HoldRequest(
                organization_id=ticket.organization_id,
                amount=call.reserved,
                key="call:" + text_of_id(ticket.id),
                expires_at=ticket.at + timedelta(seconds=lifetime + settings.GATEWAY_RETRY_SECONDS + 60),
                purpose="gateway",
                context=ticket.context(),
                limit_ids=call.limit_ids,
                limit_amount=call.limited,
                hold_id=ticket.id,
            )
        )
        call.limit_remaining = outcome.limit_remaining
        return outcome

    def time_for(self, call: Call) -> Limit:
        """How long the provider may take for its answer: a context manager that raises TimeoutError."""
        return (self._streams if call.ticket.streams else self._whole_answers).limit()

    def note(self, call: Call, **facts: Any) -> None:
        """Add facts to the hold's context; nobody waits for it."""
        try:
            future = self.notes.submit(Note(call.id, facts))
        except Exception:
            log.warning("gateway.note_lost", call=str(call.id))
            return
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def note_generation_soon(self, call: Call) -> Deadline:
        """Make the provider's handle of the call durable, so that recovery can ask for it; to be cancelled when the
        answer is complete before that."""
        return self._notes_due.set(partial(self._note_generation, call))

    def _note_generation(self, call: Call) -> None:
        if call.reading.generation_id:
            self.note(call, generation=call.reading.generation_id)

    def settle(self, call: Call, bill: Bill, *, resolved_by: str = "") -> "asyncio.Future[UsageOutcome | None]":
        """Write the call into the books: event, charge, end of the hold, attempts.

        The future is told what became of it; whoever waits no longer may end it, which changes nothing in the books.
        """
        if call.tries:
            last = call.tries[-1]
            last.cost = None if call.uses_own_key or bill.source == "none" else bill.cost
            last.generation_id = last.generation_id or call.reading.generation_id
        record = record_of(call.ticket, call.reading, bill, _ending(call, resolved_by))
        if call.sized is not None:
            record.derivation[SIZED] = call.sized
        settlement = Settlement(record, attempt_rows(call.tries, call.ticket))
        settled: asyncio.Future[UsageOutcome] = (
            self.spawn(self._settle_after_close(settlement))
            if is_over(call.terms)
            else self.settlements.submit(settlement)
        )
        told: asyncio.Future[UsageOutcome | None] = asyncio.get_running_loop().create_future()
        settled.add_done_callback(partial(self._tell, call, told))
        return told

    async def _settle_after_close(self, settlement: Settlement) -> UsageOutcome:
        """For a call that outlasts its period: that is closed first, or by the beat if it cannot be just now."""
        try:
            await close_what_is_over(settlement.record.organization_id)
        except Exception:
            log.warning("gateway.period_not_closed", exc_info=True)
        return await self.settlements.submit(settlement)

    def fail(self, call: Call) -> "asyncio.Future[UsageOutcome | None]":
        """A call that cost nothing: its hold is given back, its attempts stay."""
        call.status = "error"
        return self.settle(call, NOTHING)

    def abandon(self, call: Call) -> None:
        """A call that was never sent, because its client had left: its hold is given back; nobody waits for it."""
        call.status, call.client_left = "cancelled", True
        self.settle(call, NOTHING).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _tell(
        self, call: Call, told: "asyncio.Future[UsageOutcome | None]", settled: "asyncio.Future[UsageOutcome]"
    ) -> None:
        """Look at what became of a settlement, and pass it on to whoever still waits."""
        if settled.cancelled():
            told.cancel()
        elif (error := settled.exception()) is not None:
            log.error("gateway.settlement_lost", call=str(call.id), error=repr(error))
            self.note(call, **unresolved_facts(call))  # for recovery, which asks the provider
            if not told.done():
                told.set_exception(error)
        else:
            outcome = settled.result()
            self._check(call, outcome)
            if not told.done():
                told.set_result(outcome)

    def _check(self, call: Call, outcome: UsageOutcome) -> None:
        if not outcome.is_known:
            status = outcome.status
            log.error("gateway.settlement_refused", call=str(call.id), status=status)
            self.alert(
                "gateway.settlement_refused",
                organization_id=call.ticket.organization_id,
                key_hash=call.key.hash,
                data={"call": str(call.id), "status": status},
            )

    # ------------------------------------------------------------ telling the operator

    def alert(self, type: str, *, organization_id: UUID, key_hash: str, data: dict[str, Any]) -> None:
        """Publish news of a provider key for the operator, the same at most once a minute."""
        now, what = time.monotonic(), f"{type} {organization_id} {key_hash} {data.get('reason')}"
        if now - self._alerted.get(what, -_ALERT_EVERY) < _ALERT_EVERY:
            return
        if len(self._alerted) > 10_000:
            self._alerted.clear()
        self._alerted[what] = now
        self.spawn(sync_to_async(_publish, thread_sensitive=False)(type, organization_id, data))

    # ------------------------------------------------------------ the end

    async def close(self, grace: float = 20.0) -> None:
        """Let running calls end for ``grace`` seconds, write what is to be written, close connections."""
        if self._living is not None:
            self._living.cancel()
        if running := {*self._running, *self._carried.values()}:
            await asyncio.wait(running, timeout=grace)
        groups: tuple[LoopCommit[Any, Any], ...] = (self.holds, self.settlements, self.notes)
        for group in groups:
            await group.close(grace)
        await self.lookups.close(grace)
        if self._upstream is not None:
            await self._upstream.close()


def _ending(call: Call, resolved_by: str) -> Ending:
    return Ending(
        status=call.status,
        attempts=len(call.tries),
        error_type=call.tries[-1].error_type if call.tries else "",
        latency_ms=int((time.monotonic() - call.began) * 1000),
        first_byte_ms=None if call.answered_at is None else int((call.answered_at - call.began) * 1000),
        client_left=call.client_left,
        resolved_by=resolved_by,
    )


def _publish(type: str, organization_id: UUID, data: dict[str, Any]) -> None:
    try:
        publish(type=type, organization_id=organization_id, data=data, actor="gateway")
    finally:
        connection.close()
