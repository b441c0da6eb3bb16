"""Running totals: a key's spend over its life and this day, week and month; sums per day and model."""

from decimal import Decimal

import msgspec

from sandbox.clock import day_of, windows_of
from sandbox.money import EXACT, ZERO
from sandbox.records import Generation

RESETS = ("daily", "weekly", "monthly")


class Sum(msgspec.Struct):
    """Credit spend and the list price of BYOK traffic, in USD."""

    usage: Decimal = ZERO
    byok: Decimal = ZERO
    window: int = 0  # which day, week or month; unused for lifetime sums

    def add(self, usage: Decimal, byok: Decimal) -> None:
        """Count one call."""
        self.usage = EXACT.add(self.usage, usage)
        if byok:
            self.byok = EXACT.add(self.byok, byok)

    def roll_to(self, window: int) -> None:
        """Start again from zero when a new window has begun."""
        if window > self.window:
            self.usage, self.byok, self.window = ZERO, ZERO, window


_NOTHING = Sum()


class Spend:
    """Finished spend of one key."""

    def __init__(self) -> None:
        self.lifetime = Sum()
        self.windows = (Sum(), Sum(), Sum())
        self.last_used_at: float | None = None

    def add(self, usage: Decimal, byok: Decimal, at: float) -> None:
        """Count one call that ended at ``at``; a call of a window already over counts for life only."""
        self.lifetime.add(usage, byok)
        self.last_used_at = at
        for total, window in zip(self.windows, windows_of(day_of(at)), strict=True):
            total.roll_to(window)
            if total.window == window:
                total.add(usage, byok)

    def over(self, reset: str | None, at: float) -> Sum:
        """The sum for ``daily``, ``weekly`` or ``monthly`` as of ``at``; for life when ``reset`` is None."""
        if reset is None:
            return self.lifetime
        place = RESETS.index(reset)
        total = self.windows[place]
        return total if total.window == windows_of(day_of(at))[place] else _NOTHING


class DayTotal(msgspec.Struct):
    """Sums of one key, UTC day, model and endpoint."""

    model: str
    endpoint: str
    provider: str
    requests: int = 0
    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0
    usage: Decimal = ZERO
    byok: Decimal = ZERO

    def add(self, generation: Generation) -> None:
        """Count one call."""
        self.requests += 1
        self.prompt += generation.prompt
        self.completion += generation.completion
        self.reasoning += generation.reasoning
        self.cached += generation.cached
        self.usage = EXACT.add(self.usage, generation.cost)
        if generation.byok:
            self.byok = EXACT.add(self.byok, generation.upstream_cost)

    def include(self, other: "DayTotal") -> None:
        """Count another sum in."""
        self.requests += other.requests
        self.prompt += other.prompt
        self.completion += other.completion
        self.reasoning += other.reasoning
        self.cached += other.cached
        self.usage = EXACT.add(self.usage, other.usage)
        self.byok = EXACT.add(self.byok, other.byok)
