"""Server-sent events on their way through: passed on byte for byte, read in passing.

Events arrive cut anywhere, with any line ending; each is passed on as soon as it is complete. Only those that can
matter are parsed: the first, and those that may hold usage, an error or the reason why the answer ended.
"""

import re
from collections.abc import Callable

# Two line ends in a row; each of them LF, CR LF or CR, and CR LF is never taken for two.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DONE = b"[DONE]"
LARGEST_EVENT = 64 * 1024 * 1024

ReadEvent = Callable[[bytes], bytes | None]


class EventTooLarge(Exception):
    """One event is larger than any answer can be."""


class EventStream:
    """Feeds on an upstream's bytes, tells what to pass on, and hands the data of events that matter to ``on_event``.

    ``on_event`` returns None to let the event pass as it is, or other data to send instead. The end mark ``[DONE]`` and
    all after it are kept back in :attr:`ending`, so that something can be said before the end.
    """

    def __init__(self, on_event: ReadEvent) -> None:
        self._on_event = on_event
        self._pending = b""  # an event that is not complete yet
        self._seen_any = False
        self.done = False
        self.ending = b""

    def feed(self, chunk: bytes) -> bytes:
        """The complete events to pass on now. Raises EventTooLarge."""
        if self.done:
            self.ending += chunk
            return b""
        data = self._pending + chunk if self._pending else chunk
        end = _end_of_last_event(data)
        self._pending = data[end:]
        if len(self._pending) > LARGEST_EVENT:
            raise EventTooLarge
        events = data[:end]
        if self._seen_any and not _may_matter(events) and _DONE not in events:
            return events
        return self._read(events)

    def _read(self, events: bytes) -> bytes:
        out = []
        start = 0
        for match in _BLANK_LINE.finditer(events):
            event = events[start : match.end()]
            text = _data_of(event)
            if text == _DONE:
                self.done = True
                self.ending = events[start:] + self._pending
                break
            if text is not None and (not self._seen_any or _may_matter(text)):
                self._seen_any = True
                changed = self._on_event(text)
                event = event if changed is None else b"data: " + changed + b"\n\n"
            out.append(event)
            start = match.end()
        return b"".join(out)


def _may_matter(text: bytes) -> bool:
    return b'"usage"' in text or b'"error"' in text or b'"finish_reason":"' in text or b'"finish_reason": "' in text


def _end_of_last_event(data: bytes) -> int:
    """Where the last complete event ends; 0 when none is complete."""
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for match in _BLANK_LINE.finditer(data):
        end = match.end()
    return end


def _data_of(event: bytes) -> bytes | None:
    """The data of an event; None for comments and empty events."""
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
