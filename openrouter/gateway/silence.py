"""Connections that notice a provider's silence with one timer each, moved on when it rings.

aiohttp sets a timer anew for each piece of an answer and takes it out again: of a call in one piece as much work as
reading it, of a stream several times that.
"""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler


class _Handler(ResponseHandler):
    """One connection. Between requests, and while its reader is behind, its silence means nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._too_long_at: float | None = None  # by the loop's clock; None: not waited for

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the timer too."""
        super().connection_lost(exc)
        self._set_timer(None)

    def _reschedule_timeout(self) -> None:
        timeout, timer = self._read_timeout, self._read_timeout_handle
        self._too_long_at = self._loop.time() + timeout if timeout else None
        if self._too_long_at is not None and (timer is None or timer.when() > self._too_long_at):
            self._set_timer(self._too_long_at)

    def _drop_timeout(self) -> None:
        self._too_long_at = None

    def _set_timer(self, at: float | None) -> None:
        if self._read_timeout_handle is not None:
            self._read_timeout_handle.cancel()
        self._read_timeout_handle = None if at is None else self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._read_timeout_handle = None
        if self._too_long_at is None:
            return
        if self._too_long_at > self._loop.time():
            self._set_timer(self._too_long_at)
        else:
            self._on_read_timeout()


class Connector(aiohttp.TCPConnector):
    """aiohttp's, with such connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_Handler, loop=self._loop)  # type: ignore[assignment]  # gives such connections
