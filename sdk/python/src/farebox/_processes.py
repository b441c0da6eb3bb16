"""What outlives a moment that the program does not tell of: a fork, or its end."""

import atexit
import contextlib
import os
import weakref
from multiprocessing import parent_process
from multiprocessing.util import Finalize, register_after_fork
from typing import Any, Protocol


class Forked(Protocol):
    """What must not share with a parent process."""

    def after_fork(self) -> None:
        """Go on in a child process, with nothing of the parent's."""


class Closed(Forked, Protocol):
    """What has something to do before the process ends."""

    def close(self) -> Any:
        """Do it."""


_forked: "weakref.WeakSet[Forked]" = weakref.WeakSet()


def part_after_fork(what: Forked) -> None:
    """Have ``after_fork()`` called in every child process."""
    _forked.add(what)


def care_for(what: Closed) -> None:
    """The same, and ``close()`` before the process ends."""
    part_after_fork(what)
    atexit.register(_close, weakref.ref(what))
    # Children of multiprocessing end without atexit.
    register_after_fork(what, _close_at_end_of_child)
    if parent_process() is not None:
        _close_at_end_of_child(what)


def _close_at_end_of_child(what: Closed) -> None:
    Finalize(None, _close, args=[weakref.ref(what)], exitpriority=0)


def _close(reference: "weakref.ref[Closed]") -> None:
    what = reference()
    if what is not None:
        what.close()


def _after_fork() -> None:
    for each in list(_forked):
        each.after_fork()


with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork)
