"""Reports events in the background: ``record()`` returns at once, and nothing is lost on the way."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from farebox import _calls, _json, _processes
from farebox._config import pause_before
from farebox.buffers import Batch, Buffer, DiskBuffer, Document, MemoryBuffer
from farebox.errors import ApiError, FareboxError, InvalidRequest, QueueFull
from farebox.types import Event, Tracked

if TYPE_CHECKING:
    from farebox.client import Farebox

log = logging.getLogger("farebox")

Refused = Callable[[Document, Mapping[str, Any]], None]
_UNREADABLE_PAUSE = 1.0  # seconds
_SMALL_BATCH = 32  # events; with the largest metadata still below what proxies take by default


class Recorder:
    """Gathers events and sends them in batches from a thread of its own.

    What happens when ...

    * the server is away: events wait and are tried again, with growing pauses, for as long as the process lives;
    * the process ends: they are sent first, for up to ``exit_seconds``; what is left then stays in ``spool``, and
      without one is reported as lost in the log;
    * the process is killed: with ``spool`` (a folder) the next recorder there sends them, without one they are gone;
    * more than ``most_events`` wait: ``record()`` waits up to ``full_seconds``, then raises QueueFull. In an event loop
      set ``full_seconds=0``;
    * an event is refused (not enough credits, say): ``on_refused(event, error)`` hears of it, else the log does.

    An event that was sent twice is counted once: each has an id of its own.
    """

    def __init__(
        self,
        client: "Farebox",
        *,
        spool: str | os.PathLike[str] | None = None,
        sync: bool = False,
        interval: float = 1.0,
        batch_size: int = 500,
        most_events: int = 100_000,
        full_seconds: float = 30.0,
        exit_seconds: float = 30.0,
        on_refused: Refused | None = None,
    ) -> None:
        size = max(1, min(batch_size, _calls.MOST_EVENTS))
        self._client = client
        self._buffer: Buffer = MemoryBuffer(size) if spool is None else DiskBuffer(spool, size, sync=sync)
        self._is_durable = spool is not None
        self._batch_size = size
        self._interval = interval
        self._most_events = most_events
        self._full_seconds = full_seconds
        self._exit_seconds = exit_seconds
        self._on_refused = on_refused or _log_refusal
        self._closing = self._closed = False
        self._begin()
        _processes.care_for(self)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Events that the server has not confirmed."""
        return self._buffer.pending

    def record(self, event: Event) -> str:
        """Take an event; its ``external_id``. Raises QueueFull, ValueError for what is not JSON, OSError when the spool
        cannot be written, FareboxError when closed. An event that raised was not taken."""
        line = _json.dumps(event.as_document())
        with self._changed:
            if self._closing:
                raise FareboxError("The recorder is closed.")
            patience = 0 if self._is_own_thread() else self._full_seconds  # it would wait for itself
            if not self._changed.wait_for(self._has_room, patience):
                raise QueueFull(f"{self._buffer.pending} events wait for the server.")
            self._buffer.append(line)
            self._start_if_pending()
            self._unsent += 1
            if self._unsent >= self._batch_size:
                self._changed.notify_all()
        return event.external_id

    def flush(self, seconds: float = 30.0) -> bool:
        """Send everything now; whether that was possible within ``seconds``."""
        with self._changed:
            self._start_if_pending()
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._buffer.pending == 0, seconds)
            finally:
                self._hurry -= 1

    def close(self, seconds: float | None = None) -> int:
        """Take nothing more, send what waits for up to ``seconds``; how many events are left."""
        patience = self._exit_seconds if seconds is None else seconds
        with self._changed:
            if self._closed:
                return self._buffer.pending
            self._closing = True
            self._deadline = time.monotonic() + patience
            self._start_if_pending()
            self._changed.notify_all()
        if self._is_own_thread():  # on_refused closes: the thread sends what waits, and ends
            return self.pending
        if self._thread is not None:
            self._thread.join(patience + self._client.config.timeout)
        elif self.pending:
            self._run()
        with self._changed:
            self._closed = True
            self._buffer.close()
        if self.pending and not self._is_durable:
            log.error("farebox: %d events could not be sent and are lost", self.pending)
        return self.pending

    # ------------------------------------------------------------ the thread

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._deadline = float("inf")
        self._hurry = 0
        self._unsent = 0
        with self._changed:
            self._start_if_pending()

    def _start_if_pending(self) -> None:
        if self._thread is None and self._buffer.pending:
            thread = threading.Thread(target=self._run, name="farebox-recorder", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # of threads there are too many just now, or the interpreter ends
                log.warning("farebox: %d events wait: %r", self._buffer.pending, error)
            else:
                self._thread = thread

    def _is_own_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def after_fork(self) -> None:
        """Go on in a child process, with nothing of the parent's."""
        self._buffer.after_fork()
        self._begin()

    def _has_room(self) -> bool:
        return self._buffer.pending < self._most_events or self._closing

    def _is_urgent(self) -> bool:
        return self._closing or self._hurry > 0 or self._unsent >= self._batch_size or self._buffer.has_full_batch

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_urgent, self._interval)
                self._unsent = 0
                batch = self._take()
                if batch is None:
                    if self._closing:
                        return
                    continue
            if not self._deliver(batch):
                batch.leave()
                return

    def _take(self) -> Batch | None:
        try:
            return self._buffer.take()
        except OSError:
            log.exception("farebox: the spool cannot be read")
            self._changed.wait_for(lambda: self._closing, _UNREADABLE_PAUSE)
            return None

    def _deliver(self, batch: Batch) -> bool:
        """Send until the server has it; False when time is up first."""
        attempt = 0
        while True:
            try:
                self._send_in_parts(batch.documents, attempt)
                break
            except Exception as error:
                # Any, for the thread must outlive whatever answers in the server's place: a proxy, half an answer.
                attempt += 1
                is_ours = not isinstance(error, FareboxError)
                log.warning("farebox: %d events wait: %r", self._buffer.pending, error, exc_info=is_ours)
                if not self._pause(pause_before(min(attempt, 10))):
                    return False
        with self._changed:
            batch.done()
            self._changed.notify_all()
        return True

    def _pause(self, seconds: float) -> bool:
        """Wait; False when the recorder's time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, min(seconds, max(self._deadline - time.monotonic(), 0)))
            if self._closing:
                time.sleep(min(seconds, 0.2))
            return time.monotonic() < self._deadline

    def _send_in_parts(self, documents: list[Document], attempt: int) -> None:
        """In smaller parts after some failures: too large a body may be refused by ending the connection midway."""
        size = max(len(documents) >> max(attempt - 2, 0), _SMALL_BATCH)
        for start in range(0, len(documents), size):
            self._send(documents[start : start + size])

    def _send(self, documents: list[Document]) -> None:
        """Hand events in; one that makes the server refuse them all is found by halving."""
        try:
            results = self._client.send(_calls.track_batch(documents))
        except InvalidRequest as error:
            if not _is_about_events(error):
                raise
            if len(documents) == 1:
                self._refuse(documents[0], _refusal(error))
                return
            middle = len(documents) // 2
            self._send(documents[:middle])
            self._send(documents[middle:])
            return
        for document, result in zip(documents, results, strict=True):
            if result.status == "refused":
                self._refuse(document, _why(result))

    def _refuse(self, document: Document, error: Mapping[str, Any]) -> None:
        try:
            self._on_refused(document, error)
        except Exception:
            log.exception("farebox: on_refused failed")


def _is_about_events(error: ApiError) -> bool:
    """Whether they would be refused again: not when a proxy says so of any request, in words of its own."""
    return error.status == 413 or error.code != "unknown"


def _why(result: Tracked) -> Mapping[str, Any]:
    return result.error or {"code": "refused"}


def _refusal(error: ApiError) -> Mapping[str, Any]:
    return {"status": error.status, "code": error.code, "detail": error.detail}


def _log_refusal(document: Document, error: Mapping[str, Any]) -> None:
    log.error("farebox: event %s was refused: %s", document.get("external_id"), error.get("code"))
