"""A hold while its work runs."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from farebox import _calls
from farebox.errors import Conflict, FareboxError
from farebox.types import HoldState


class Hold:
    """Credit set aside for a piece of work; ends once."""

    def __init__(self, state: HoldState, send: Callable[[_calls.Call[HoldState]], HoldState]) -> None:
        self.state = state
        self._send = send

    @property
    def id(self) -> str:
        """For ``Event(hold_id=...)``: an event that names a hold settles it."""
        return self.state.id

    def settle(self, amount: Decimal | str, *, reason: str = "") -> HoldState:
        """Charge ``amount`` USD (it may be more than was held) and give the rest back."""
        self.state = self._send(_calls.settle_hold(self.id, amount, reason))
        return self.state

    def release(self) -> HoldState:
        """Give everything back."""
        self.state = self._send(_calls.release_hold(self.id))
        return self.state

    def release_if_open(self) -> None:
        """Give back what nobody settled. A server that cannot be reached lets the hold expire by itself."""
        if self.state.status != "open":
            return
        try:
            self.release()
        except Conflict:  # an event has settled it
            self.state = HoldState(self.id, self.state.amount, "ended", self.state.expires_at)
        except FareboxError:
            pass


class AsyncHold:
    """The same for asyncio."""

    def __init__(self, state: HoldState, send: Callable[[_calls.Call[HoldState]], Awaitable[HoldState]]) -> None:
        self.state = state
        self._send = send

    @property
    def id(self) -> str:
        """For ``Event(hold_id=...)``: an event that names a hold settles it."""
        return self.state.id

    async def settle(self, amount: Decimal | str, *, reason: str = "") -> HoldState:
        """Charge ``amount`` USD (it may be more than was held) and give the rest back."""
        self.state = await self._send(_calls.settle_hold(self.id, amount, reason))
        return self.state

    async def release(self) -> HoldState:
        """Give everything back."""
        self.state = await self._send(_calls.release_hold(self.id))
        return self.state

    async def release_if_open(self) -> None:
        """Give back what nobody settled. A server that cannot be reached lets the hold expire by itself."""
        if self.state.status != "open":
            return
        try:
            await self.release()
        except Conflict:  # an event has settled it
            self.state = HoldState(self.id, self.state.amount, "ended", self.state.expires_at)
        except FareboxError:
            pass
