"""A run of the sender: many endpoints at once, the messages of each one after the other.

All that touches the database happens in the calling thread; the courier's thread only speaks HTTP.
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from django.utils import timezone

from core.secretfields import UndecryptableSecret
from outbox.webhooks.claims import Attempt, claim_lanes, claim_message, leave_lane
from outbox.webhooks.outcomes import record_attempt
from outbox.webhooks.transport import Answer, Courier

log = structlog.get_logger(__name__)

WIDTH = 64  # endpoints that one run serves at a time
RUN_SECONDS = 30  # after which a run begins nothing new
_LOOK_SECONDS = 1  # how long one that waits for slow receivers looks away from what is newly due

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Tally:
    """What a run did."""

    delivered: int = 0
    failed: int = 0


def send_webhooks(*, clock: Clock = timezone.now, seconds: float = RUN_SECONDS, width: int = WIDTH) -> Tally:
    """Send what is due; any number of senders may run at once.

    A message is sent at least once: a sender that dies between the answer and its note leaves it to be sent again,
    with the same id.
    """
    first = claim_lanes(at=clock(), limit=width)
    if not first:
        return Tally()
    with Courier() as courier:
        return _Run(courier, clock, time.monotonic() + seconds, width).serve(first)


@dataclass(slots=True)
class _Run:
    courier: Courier
    clock: Clock
    ends: float
    width: int
    tally: Tally = field(default_factory=Tally)
    on_the_way: "dict[Future[Answer], Attempt]" = field(default_factory=dict)

    def serve(self, lanes: list[tuple[UUID, UUID]]) -> Tally:
        """Until nothing is due or the time is over."""
        while True:
            for endpoint_id, lane in lanes:
                self._begin(endpoint_id, lane)
            if not self.on_the_way:
                return self.tally
            done, _ = wait(self.on_the_way, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._end(future)
            lanes = self._more()

    def _begin(self, endpoint_id: UUID, lane: UUID) -> None:
        """Send the next message of a lane, or leave it."""
        attempt = None
        if time.monotonic() < self.ends:
            try:
                attempt = claim_message(endpoint_id=endpoint_id, lane=lane, at=self.clock())
            except UndecryptableSecret as error:
                # Its messages wait until the key is back; the lane's lease keeps it from being asked for all the time.
                log.error("webhooks.unreadable_secret", endpoint=str(endpoint_id), reason=str(error))
                return
        if attempt is None:
            leave_lane(endpoint_id=endpoint_id, lane=lane, at=self.clock())
        else:
            self.on_the_way[self.courier.send(attempt.url, attempt.body, attempt.headers)] = attempt

    def _end(self, future: "Future[Answer]") -> None:
        attempt, answer = self.on_the_way.pop(future), future.result()
        record_attempt(attempt=attempt, answer=answer, at=self.clock())
        if answer.succeeded:
            self.tally.delivered += 1
        else:
            self.tally.failed += 1
        self._begin(attempt.endpoint_id, attempt.lane)

    def _more(self) -> list[tuple[UUID, UUID]]:
        """Endpoints that have something due since the last look."""
        free = self.width - len(self.on_the_way)
        if free < 1 or time.monotonic() >= self.ends:
            return []
        busy = [attempt.endpoint_id for attempt in self.on_the_way.values()]
        return claim_lanes(at=self.clock(), limit=free, without=busy)
