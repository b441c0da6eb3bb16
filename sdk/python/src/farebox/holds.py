"""A hold while its work runs."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from farebox import _calls
from farebox.errors import ApiError, Conflict, FareboxError, ServerError
from farebox.types import HoldState


class _Held:
    """What is known of a hold."""

    def __init__(self, state: HoldState) -> None:
        self.state = state
        self._is_settling = False

    @property
    def id(self) -> str:
        """For ``Event(hold_id=...)``: an event that names a hold settles it."""
        return self.state.id

    @property
    def _is_left(self) -> bool:
        """Whether nobody settled it, or tried to: what was asked for without an answer may still be carried out, or
        asked for again."""
        return self.state.status == "open" and not self._is_settling

    @contextmanager
    def _settling(self) -> Iterator[None]:
        self._is_settling = True
        try:
            yield
        except (ApiError, ValueError) as error:
            self._is_settling = isinstance(error, ServerError)
            raise
        self._is_settling = False

    def _has_ended(self) -> None:
        self.state = HoldState(self.id, self.state.amount, "ended", self.state.expires_at)


class Hold(_Held):
    """Credit set aside for a piece of work; ends once."""

    def __init__(self, state: HoldState, send: Callable[[_calls.Call[HoldState]], HoldState]) -> None:
        super().__init__(state)
        self._send = send

    def settle(self, amount: Decimal | str, *, reason: str = "") -> HoldState:
        """Charge ``amount`` USD (it may be more than was held) and give the rest back.

        After ConnectionFailed or ServerError the hold stays until it expires: settle it again, with the same amount.
        """
        with self._settling():
            self.state = self._send(_calls.settle_hold(self.id, amount, reason))
        return self.state

    def release(self) -> HoldState:
        """Give everything back."""
        self.state = self._send(_calls.release_hold(self.id))
        return self.state

    def release_if_open(self) -> None:
        """Give back what nobody settled. A server that cannot be reached lets the hold expire by itself."""
        if self._is_left:
            try:
                self.release()
            except Conflict:  # an event has settled it
                self._has_ended()
            except FareboxError:
                pass


class AsyncHold(_Held):
    """The same for asyncio."""

    def __init__(self, state: HoldState, send: Callable[[_calls.Call[HoldState]], Awaitable[HoldState]]) -> None:
        super().__init__(state)
        self._send = send

    async def settle(self, amount: Decimal | str, *, reason: str = "") -> HoldState:
        """Charge ``amount`` USD and give the rest back; see ``Hold.settle``."""
        with self._settling():
            self.state = await self._send(_calls.settle_hold(self.id, amount, reason))
        return self.state

    async def release(self) -> HoldState:
        """Give everything back."""
        self.state = await self._send(_calls.release_hold(self.id))
        return self.state

    async def release_if_open(self) -> None:
        """Give back what nobody settled. A server that cannot be reached lets the hold expire by itself."""
        if self._is_left:
            try:
                await self.release()
            except Conflict:  # an event has settled it
                self._has_ended()
            except FareboxError:
                pass
