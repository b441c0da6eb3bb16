"""What the person at the terminal sees."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WIDTH = 20


class Failure(Exception):
    """Something the person can act on; its text is shown without a traceback."""


_aside = False


def speak_aside() -> None:
    """Show progress on standard error from now on: a command run in front of it needs standard output."""
    global _aside
    _aside = True


def _show(text: str) -> None:
    stream = sys.stderr if _aside else sys.stdout
    stream.write(text)
    stream.flush()


def say(text: str = "") -> None:
    """One line, shown at once even through a pipe."""
    _show(f"{text}\n")


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """``title`` at the start, each remark as it is made, and how long it took at the end."""

    def remark(text: str) -> None:
        _show(f"{text} · ")

    _show(f"  {title:<{_WIDTH}} ")
    began = time.monotonic()
    try:
        yield remark
    except BaseException:
        say("stopped")
        raise
    say(f"{time.monotonic() - began:.1f} s")


def tail(log: Path, lines: int = 15, from_byte: int = 0) -> str:
    """The last ``lines`` of a log, indented, leaving out what was there before ``from_byte``."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(from_byte, end - 16_384))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(f"    | {line}" for line in text.splitlines()[-lines:])
