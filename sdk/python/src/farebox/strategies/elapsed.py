"""Time that something took.

with elapsed(Meter(recorder, name="compute-execution", customer="user_42")):
    ...
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from farebox.strategies.usage import Meter

NANOSECOND = Decimal("1e-9")


@contextmanager
def elapsed(meter: Meter, *, clock: Callable[[], int] = time.perf_counter_ns, **metadata: Any) -> Iterator[None]:
    """Reports the seconds that the block took, also when it fails, and around ``await``."""
    began = clock()
    try:
        yield
    finally:
        seconds = (clock() - began) * NANOSECOND
        meter.count(meter.name, {"strategy": "DeltaTime", **metadata, "deltaTime": float(seconds)}, quantity=None)
