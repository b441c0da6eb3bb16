"""One inference call from its acceptance to its line in the books."""

import random
import time
from decimal import Decimal

from sandbox.books import Books
from sandbox.catalogue import Endpoint, Model
from sandbox.clock import Clock
from sandbox.directives import Directives
from sandbox.money import EXACT, ZERO
from sandbox.plan import Plan
from sandbox.pricing import Cost, Quantities, Rates, cost_of, fees_of
from sandbox.records import Generation, Key
from sandbox.settings import Settings

_ID_BITS = 80
_PERCENT = Decimal(100)
_NEVER = 10 * 365 * 86_400.0
_LATE_SECONDS = 3.0
_random = random.Random()  # noqa: S311 - ids of a test double, not secrets


def new_id(created: float) -> str:
    """A generation id as OpenRouter makes them: ``gen-<unix>-<20 characters>``."""
    return f"gen-{int(created)}-{_random.getrandbits(_ID_BITS):020x}"


class Call:
    """A call that was accepted. :meth:`bill` is to be used exactly once."""

    __slots__ = (
        "agent",
        "api",
        "byok",
        "clock_started",
        "created",
        "endpoint",
        "fault",
        "id",
        "key",
        "model",
        "plan",
        "rates",
        "referer",
        "requested",
        "reserved",
        "session",
        "streamed",
        "tier",
        "user",
        "wishes",
    )

    def __init__(
        self,
        *,
        api: str,
        key: Key,
        model: Model,
        requested: str,
        endpoint: Endpoint,
        rates: Rates,
        tier: str | None,
        plan: Plan,
        wishes: Directives,
        fault: str | None,
        streamed: bool,
        byok: bool,
        created: float,
    ) -> None:
        self.id = new_id(created)
        self.created = created
        self.clock_started = time.perf_counter()
        self.api = api
        self.key = key
        self.model = model
        self.requested = requested
        self.endpoint = endpoint
        self.rates = rates
        self.tier = tier
        self.plan = plan
        self.wishes = wishes
        self.fault = fault
        self.streamed = streamed
        self.byok = byok
        self.reserved = ZERO
        self.user: str | None = None
        self.session: str | None = None
        self.referer: str | None = None
        self.agent: str | None = None


class Bill:
    """What a call came to: the record in the books, and the parts of the price shown in the answer."""

    __slots__ = ("cost", "generation")

    def __init__(self, generation: Generation, cost: Cost) -> None:
        self.generation = generation
        self.cost = cost


class Cashier:
    """Prices calls and writes them into the books, before the last byte of the answer is sent."""

    def __init__(self, settings: Settings, books: Books, clock: Clock) -> None:
        self._settings = settings
        self._books = books
        self._clock = clock
        self.generation_delay = settings.generation_delay
        self.interrupted_delay = settings.interrupted_delay

    def bill(
        self,
        call: Call,
        *,
        produced: int | None = None,
        cancelled: bool = False,
        interrupted: bool = False,
        finish: str | None = None,
        insured: bool = False,
        cache_source: str | None = None,
    ) -> Bill:
        """Write down a call.

        ``produced`` is how many tokens had been made when a stream was cancelled (None: all of them). Without
        any output, or when ``insured``, tokens are not billed and only search fees remain. ``cache_source``
        marks an answer from the response cache, which costs and counts nothing.
        """
        used = call.plan.used if produced is None else cut_short(call.plan.used, produced)
        cost = self._cost(call, used, insured=insured)
        if cache_source is not None:
            used, cost = Quantities(), Cost()
        now = self._clock.now()
        generation = self._record(call, used, cost, now)
        generation.cancelled = cancelled
        generation.finish = None if cancelled else finish or call.plan.finish
        generation.visible_at = now + self._lookup_delay(call, cancelled or interrupted)
        generation.cache_source = cache_source
        if call.clock_started >= self._books.born:
            self._books.write(generation)
        return Bill(generation, cost)

    def _record(self, call: Call, used: Quantities, cost: Cost, now: float) -> Generation:
        elapsed = int((time.perf_counter() - call.clock_started) * 1000)
        return Generation(
            id=call.id,
            at=now,
            created=call.created,
            key=call.key.hash,
            api="completions" if call.api == "text" else call.api,
            model=call.model.id,
            requested=call.requested,
            provider=call.endpoint.provider,
            endpoint=call.endpoint.id,
            prompt=used.prompt,
            completion=used.completion,
            reasoning=used.reasoning,
            cached=used.cached,
            written=used.written,
            images=used.images,
            images_out=used.images_out,
            searches=used.searches,
            cost=self._fee(cost.total, now) if call.byok else cost.total,
            upstream_cost=cost.total,
            byok=call.byok,
            streamed=call.streamed,
            tier=call.tier,
            latency=min(elapsed, int(call.wishes.first * 1000)),
            generation_time=elapsed,
            user=call.user,
            session=call.session,
            referer=call.referer,
            agent=call.agent,
        )

    def _cost(self, call: Call, used: Quantities, *, insured: bool) -> Cost:
        nothing_made = not used.completion and not used.images_out and call.api in ("completions", "text")
        if insured or nothing_made:
            searches = Quantities(searches=used.searches)
            return Cost(total=EXACT.subtract(fees_of(call.rates, searches), call.rates.request))
        return cost_of(call.rates, used)

    def _fee(self, list_price: Decimal, at: float) -> Decimal:
        """OpenRouter's own fee on a BYOK call: a percentage of what passes the month's allowance."""
        allowance = self._settings.byok_allowance
        before = self._books.byok_this_month(at)
        after = EXACT.add(before, list_price)
        charged = EXACT.subtract(max(after, allowance), max(before, allowance))
        return EXACT.multiply(charged, EXACT.divide(self._settings.byok_fee_percent, _PERCENT))

    def _lookup_delay(self, call: Call, interrupted: bool) -> float:
        if call.wishes.lookup is not None:
            return call.wishes.lookup
        if call.fault == "generation-never":
            return _NEVER
        if call.fault == "generation-late":
            return _LATE_SECONDS
        return max(self.generation_delay, self.interrupted_delay) if interrupted else self.generation_delay


def cut_short(used: Quantities, produced: int) -> Quantities:
    """The same call stopped after ``produced`` tokens; reasoning comes first."""
    return Quantities(
        prompt=used.prompt,
        completion=min(produced, used.completion),
        reasoning=min(produced, used.reasoning),
        cached=used.cached,
        written=used.written,
        long_lived=used.long_lived,
        audio=used.audio,
        images=used.images,
        images_out=0,
        searches=used.searches,
    )
