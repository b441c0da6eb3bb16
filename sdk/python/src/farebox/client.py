"""The client for ordinary code. ``farebox.AsyncFarebox`` is the same for asyncio."""

import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from farebox import _calls, _json, _processes
from farebox._calls import refuse_redirect
from farebox._config import config_from, is_passing, pause_before
from farebox.errors import ConnectionFailed, error_for
from farebox.holds import Hold
from farebox.recorder import Recorder
from farebox.types import Balance, Event, MeterBalance, Tracked

Made = TypeVar("Made")


class Farebox:
    """Talks to a Farebox server with one API key.

    ``api_key`` and ``base_url`` default to FAREBOX_API_KEY and FAREBOX_URL. Requests that failed in passing are
    repeated ``retries`` times; none of them can be charged twice. Safe to share between threads; ``close()`` or
    ``with`` at the end.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 4,
        http_client: httpx.Client | None = None,
    ) -> None:
        self.config = config_from(api_key, base_url, timeout, retries)
        self._http = http_client or httpx.Client(timeout=timeout)
        self._owns_http = http_client is None
        self._recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
        _processes.part_after_fork(self)

    def __enter__(self) -> "Farebox":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections, after the recorders that were made here have sent what waits."""
        for recorder in list(self._recorders):
            recorder.close()
        if self._owns_http:
            self._http.close()

    def after_fork(self) -> None:
        """Go on in a child process with connections of its own: on a shared one each would read the other's answers."""
        if self._owns_http and not self._http.is_closed:
            self._http = httpx.Client(timeout=self.config.timeout)

    # ------------------------------------------------------------ credits

    def balance(self) -> Balance:
        """The wallet now. Needs the scope credits:read."""
        return self.send(_calls.get_balance())

    def has_credits(self, amount: Decimal | str = Decimal(0)) -> bool:
        """Whether more than nothing, and at least ``amount`` USD, could be claimed now.

        An answer is old as soon as it is given: where that matters, ``hold()``.
        """
        available = self.balance().available
        return available > 0 and available >= Decimal(amount)

    def customer_meters(self, external_customer_id: str) -> list[MeterBalance]:
        """What one of your customers has used and was credited, by meter."""
        return self.send(_calls.customer_meters(external_customer_id))

    def customer_has_credits(self, external_customer_id: str, meter: str) -> bool:
        """Whether your customer has credit left on the meter (its name or id)."""
        rows = self.customer_meters(external_customer_id)
        return any(row.remaining > 0 for row in rows if meter in (row.meter, row.meter_id))

    @contextmanager
    def hold(self, amount: Decimal | str, *, key: str | None = None, expires_in: int = 900) -> Iterator[Hold]:
        """Set the most that some work may cost aside while the block runs.

        Settle it inside; a block that fails, or does not settle, gives everything back. Raises InsufficientCredits
        before the block begins. Needs the scope credits:write.
        """
        state = self.send(_calls.place_hold(amount, key or f"sdk:{uuid4()}", expires_in))
        hold = Hold(state, self.send)
        try:
            yield hold
        finally:
            hold.release_if_open()

    # ------------------------------------------------------------ usage

    def track(self, event: Event) -> Tracked:
        """Report one event and wait until it is in the books. Raises InsufficientCredits and other ApiErrors."""
        return self.send(_calls.track(event))

    def track_batch(self, events: Iterable[Event]) -> list[Tracked]:
        """Report up to 10,000 events; each is recorded or refused on its own."""
        return self.send(_calls.track_batch(event.as_document() for event in events))

    def estimate(self, model: str, messages: list[dict[str, Any]], *, max_tokens: int | None = None) -> dict[str, Any]:
        """What a call would cost, likely and at worst."""
        return self.send(_calls.estimate(model, messages, max_tokens))

    def recorder(self, **options: Any) -> Recorder:
        """Reports events in the background; see ``Recorder``."""
        made = Recorder(self, **options)
        self._recorders.add(made)
        return made

    # ------------------------------------------------------------ the wire

    def send(self, call: _calls.Call[Made]) -> Made:
        """Carry out a call. Raises ApiError when it is refused, ConnectionFailed without an answer."""
        url, parts, retry = f"{self.config.base_url}{call.path}", _calls.parts_of(call, self.config), 0
        while True:
            retry += 1
            try:
                answer = self._http.request(call.method, url, **parts)
            except httpx.RequestError as error:
                if retry > self.config.retries:
                    raise ConnectionFailed(f"{call.method} {call.path}: {error!r}") from error
                time.sleep(pause_before(retry))
                continue
            if answer.is_success:
                return _calls.read_answer(call, answer.content)
            refuse_redirect(call, answer.status_code, answer.headers.get("location"))
            if not is_passing(answer.status_code) or retry > self.config.retries:
                raise error_for(answer.status_code, _json.loads(answer.content), answer.text)
            time.sleep(pause_before(retry, answer.headers.get("retry-after")))
