"""Being asked to stop, by Ctrl-C or by another process."""

import signal
import time

_TICK = 0.05


class Stopped(Exception):
    """Raised at the next short wait after someone asked to stop."""


class StopSignals:
    """Counts SIGINT, SIGTERM and SIGHUP; waits end early once there was one.

    Nothing is interrupted where it stands: a handler that raised could leave a file or a server half-made.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: int = signal.SIGTERM
        self.forward_to: int | None = None

    def install(self) -> "StopSignals":
        """Listen from now on. A hang-up ignored by the caller (nohup) stays ignored."""
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._note)
        return self

    def _note(self, number: int, _frame: object) -> None:
        self.count += 1
        self.last = number

    def check(self) -> None:
        """Raise Stopped if someone asked to stop."""
        if self.count:
            raise Stopped

    def sleep(self, seconds: float = _TICK) -> None:
        """Wait, ending at once when asked to stop."""
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
            self.check()
