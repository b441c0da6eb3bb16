"""Waiting for something that another process does."""

import time
from collections.abc import Callable


def eventually(true: Callable[[], object], seconds: float = 60) -> None:
    """Return as soon as ``true()`` is; fail when it is not within ``seconds``."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)
