"""Server-sent events on their way through: passed on byte for byte, read in passing.

Events arrive cut anywhere, with any line ending; each is passed on as soon as it is complete. Only the first and those
with a word that may matter are parsed.
"""

import re
from collections.abc import Callable

import msgspec

# Two line ends in a row; each of them LF, CR LF or CR, and CR LF is never taken for two.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DONE = b"[DONE]"
# What an event may hold that matters: usage, an error, the reason why the answer ended, the end mark, what is no JSON.
_MARKS = (
    *(b'"usage"', b'"error"', b'"finish_reason":"', b'"finish_reason": "', b"data: [DONE]", b"data:[DONE]"),
    *(b"NaN", b"Infinity"),
)
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
        return self._read(data[:end])

    def end(self) -> bytes:
        """What is left to pass on when the answer has ended: a last event counts although no blank line follows it."""
        last, self._pending = self._pending.rstrip(b"\r\n") + b"\n\n", b""
        text = None if self.done else _data_of(last)
        return b"" if text is None or not _is_whole(text) else self._read(last)

    def _read(self, events: bytes) -> bytes:
        """Look at the events that may matter; all others pass unseen."""
        out: list[bytes] = []
        passed = 0
        for start, end in _spans(events, with_first=not self._seen_any):
            text = _data_of(events[start:end])
            if text == _DONE:
                self.done = True
                self.ending = events[start:] + self._pending
                return b"".join([*out, events[passed:start]])
            if text is not None:
                self._seen_any = True
                changed = self._on_event(text)
                if changed is not None:
                    out += [events[passed:start], b"data: ", changed, b"\n\n"]
                    passed = end
        return b"".join([*out, events[passed:]]) if out else events


def _spans(events: bytes, *, with_first: bool) -> list[tuple[int, int]]:
    """Where the events lie that may matter, in order; ``with_first`` adds the first that carries data."""
    if b"\r" in events:
        return _all_spans(events)
    found = set()
    for mark in _MARKS:
        at = events.find(mark)
        while at >= 0:
            start = events.rfind(b"\n\n", 0, at)
            end = events.find(b"\n\n", at) + 2
            found.add((0 if start < 0 else start + 2, end))
            at = events.find(mark, end)
    if with_first:
        start = 0 if events.startswith(b"data:") else events.find(b"\n\ndata:") + 2
        if start != 1:
            found.add((start, events.find(b"\n\n", start) + 2))
    return sorted(found)


def _all_spans(events: bytes) -> list[tuple[int, int]]:
    """Every event, whatever its line ends."""
    ends = [match.end() for match in _BLANK_LINE.finditer(events)]
    return list(zip([0, *ends], ends, strict=False))


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


def _is_whole(text: bytes) -> bool:
    """Whether the data of an event is not the first part of some."""
    try:
        return text == _DONE or msgspec.json.decode(text) is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
