"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from farebox import _calls, _json
from farebox._calls import refuse_redirect
from farebox._config import config_from, is_passing, pause_before
from farebox.errors import ConnectionFailed, error_for
from farebox.holds import AsyncHold
from farebox.types import Balance, Event, MeterBalance, Tracked

Made = TypeVar("Made")


class AsyncFarebox:
    """``Farebox`` for asyncio: the same methods, to be awaited. Belongs to one event loop."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 4,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        self.config = config_from(api_key, base_url, timeout, retries)
        self._http = http_client or httpx.AsyncClient(timeout=timeout)
        self._owns_http = http_client is None

    async def __aenter__(self) -> "AsyncFarebox":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections."""
        if self._owns_http:
            await self._http.aclose()

    async def balance(self) -> Balance:
        """The wallet now. Needs the scope credits:read."""
        return await self.send(_calls.get_balance())

    async def has_credits(self, amount: Decimal | str = Decimal(0)) -> bool:
        """Whether more than nothing, and at least ``amount`` USD, could be claimed now."""
        available = (await self.balance()).available
        return available > 0 and available >= Decimal(amount)

    async def customer_meters(self, external_customer_id: str) -> list[MeterBalance]:
        """What one of your customers has used and was credited, by meter."""
        return await self.send(_calls.customer_meters(external_customer_id))

    async def customer_has_credits(self, external_customer_id: str, meter: str) -> bool:
        """Whether your customer has credit left on the meter (its name or id)."""
        rows = await self.customer_meters(external_customer_id)
        return any(row.remaining > 0 for row in rows if meter in (row.meter, row.meter_id))

    @asynccontextmanager
    async def hold(
        self, amount: Decimal | str, *, key: str | None = None, expires_in: int = 900
    ) -> AsyncIterator[AsyncHold]:
        """Set the most that some work may cost aside while the block runs; see ``Farebox.hold``."""
        state = await self.send(_calls.place_hold(amount, key or f"sdk:{uuid4()}", expires_in))
        hold = AsyncHold(state, self.send)
        try:
            yield hold
        finally:
            await asyncio.shield(hold.release_if_open())

    async def track(self, event: Event) -> Tracked:
        """Report one event and wait until it is in the books."""
        return await self.send(_calls.track(event))

    async def track_batch(self, events: Iterable[Event]) -> list[Tracked]:
        """Report up to 10,000 events; each is recorded or refused on its own."""
        return await self.send(_calls.track_batch(event.as_document() for event in events))

    async def estimate(
        self, model: str, messages: list[dict[str, Any]], *, max_tokens: int | None = None
    ) -> dict[str, Any]:
        """What a call would cost, likely and at worst."""
        return await self.send(_calls.estimate(model, messages, max_tokens))

    async def send(self, call: _calls.Call[Made]) -> Made:
        """Carry out a call. Raises ApiError when it is refused, ConnectionFailed without an answer."""
        url, parts, retry = f"{self.config.base_url}{call.path}", _calls.parts_of(call, self.config), 0
        while True:
            retry += 1
            try:
                answer = await self._http.request(call.method, url, **parts)
            except httpx.RequestError as error:
                if retry > self.config.retries:
                    raise ConnectionFailed(f"{call.method} {call.path}: {error!r}") from error
                await asyncio.sleep(pause_before(retry))
                continue
            if answer.is_success:
                return _calls.read_answer(call, answer.content)
            refuse_redirect(call, answer.status_code, answer.headers.get("location"))
            if not is_passing(answer.status_code) or retry > self.config.retries:
                raise error_for(answer.status_code, _json.loads(answer.content), answer.text)
            await asyncio.sleep(pause_before(retry, answer.headers.get("retry-after")))
