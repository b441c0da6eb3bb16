"""How long a batch may gather: the busier the process, the longer, so that no throughput is lost, nor any lone caller's
time.

A batch has a price of its own, whatever its size. A process that has other work to do loses nothing by sending half as
many of twice the size; one that would be idle meanwhile sends at once.
"""

import time

_BUSY, _IDLE = 0.8, 0.65  # shares of a processor
_STEP = 0.001  # seconds
_LONGEST = 0.01


class Pace:
    """The least time between two batches, found by looking at how busy this process is."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sent_at = time.monotonic()
        self._worked = time.process_time()

    def left(self) -> float:
        """Seconds until the next batch may go; none for a process with little to do."""
        return self._sent_at + self.seconds - time.monotonic() if self.seconds else 0.0

    def sent(self) -> None:
        """A batch goes now: gather the next one longer if the process was busy since the last, else shorter."""
        now, worked = time.monotonic(), time.process_time()
        share = (worked - self._worked) / max(now - self._sent_at, 1e-6)
        self._sent_at, self._worked = now, worked
        if share > _BUSY:
            self.seconds = min(self.seconds + _STEP, _LONGEST)
        elif share < _IDLE:
            self.seconds = self.seconds / 2 if self.seconds > _STEP else 0.0
