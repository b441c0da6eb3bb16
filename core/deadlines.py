"""Many deadlines of one length on an event loop, for the price of one timer.

They fall due in the order in which they were set, and nearly all are cancelled before: a queue with one timer for its
head does, where a timer each would be put into the loop's heap and taken out again.
"""

import asyncio
from collections import deque
from collections.abc import Callable

_FEW = 64


class Deadline:
    """One of them."""

    __slots__ = ("_owner", "due", "what")

    def __init__(self, owner: "Deadlines", due: float, what: Callable[[], object]) -> None:
        self._owner = owner
        self.due = due  # by the loop's clock
        self.what: Callable[[], object] | None = what

    def cancel(self) -> None:
        """Do nothing when it falls due."""
        if self.what is not None:
            self.what = None
            self._owner.forget_one()


class Deadlines:
    """Calls what it was given ``seconds`` later; belongs to one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._queue: deque[Deadline] = deque()
        self._alive = 0
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> "Limit":
        """A context manager that lets its block take no longer."""
        return Limit(self)

    def __len__(self) -> int:
        """Deadlines that are kept, cancelled ones among them."""
        return len(self._queue)

    def set(self, what: Callable[[], object]) -> Deadline:
        """Call ``what`` in time, unless the deadline is cancelled before."""
        loop = asyncio.get_running_loop()
        deadline = Deadline(self, loop.time() + self._seconds, what)
        self._queue.append(deadline)
        self._alive += 1
        if self._timer is None:
            self._timer = loop.call_at(deadline.due, self._ring)
        return deadline

    def forget_one(self) -> None:
        """A deadline was cancelled: once most are, those are thrown away."""
        self._alive -= 1
        if len(self._queue) > _FEW + 2 * self._alive:
            self._queue = deque(each for each in self._queue if each.what is not None)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = []
        while self._queue and (self._queue[0].what is None or self._queue[0].due <= now):
            deadline = self._queue.popleft()
            if deadline.what is not None:
                due.append(deadline.what)
                deadline.what = None
                self._alive -= 1
        self._timer = loop.call_at(self._queue[0].due, self._ring) if self._queue else None
        for what in due:
            loop.call_soon(what)  # so that the failure of one is not the end of the others


class Limit:
    """Cancels what its block waits for when the time is over, and raises TimeoutError, as ``asyncio.timeout`` does."""

    __slots__ = ("_cancelling", "_deadline", "_deadlines", "_is_open", "_is_over", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._is_open = self._is_over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Only a task can be given a limit.")
        self._task, self._cancelling = task, task.cancelling()
        self._is_open = True
        self._deadline = self._deadlines.set(self._end)

    def _end(self) -> None:
        if self._is_open:  # what is due may be called a turn of the loop later
            self._is_over = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._is_open = False
        self._deadline.cancel()
        # Somebody else's cancellation goes on, whatever the time.
        if self._is_over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
