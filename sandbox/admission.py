"""Whether a call may start: key, account balance, key limit, free-model quotas, in-flight budget.

As at OpenRouter a key limit is checked against finished spend, so parallel calls can pass it together.
"""

from collections import deque
from decimal import Decimal

from sandbox.books import Books
from sandbox.clock import DAY, Clock
from sandbox.faults import rate_limit_headers
from sandbox.money import EXACT, ZERO, plain
from sandbox.records import Key
from sandbox.settings import Settings
from sandbox.wire import Refusal, Request

_MINUTE = 60
_PAYMENT = "payment_required"


class Admission:
    """The gate of one account, and what is running now."""

    def __init__(self, settings: Settings, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self.in_flight_budget = settings.in_flight_budget
        self.in_flight = ZERO
        self.key_limit_status = settings.key_limit_status
        self.free_per_minute = settings.free_per_minute
        self.free_per_day = settings.free_per_day
        self._free_calls: deque[float] = deque()

    def key(self, request: Request) -> Key:
        """The key that signs a request. Raises Refusal (401)."""
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            raise Refusal(401, "No auth credentials found", "authentication")
        key = self._books.key_for(authorization)
        if key is None:
            raise Refusal(401, "User not found.", "authentication")
        if key.disabled:
            raise Refusal(401, "API key is disabled.", "authentication")
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise Refusal(401, "API key has expired.", "authentication")
        return key

    def management_key(self, request: Request) -> Key:
        """The same for administration. Raises Refusal (401)."""
        key = self.key(request)
        if not key.management:
            raise Refusal(401, "Invalid management key", "authentication")
        return key

    def inference_key(self, request: Request) -> Key:
        """The same for inference. Raises Refusal (401, 402, 403)."""
        key = self.key(request)
        if key.management:
            raise Refusal(401, "Management keys cannot be used for inference.", "authentication")
        self._check_balance(key)
        self._check_key_limit(key)
        return key

    def _check_balance(self, key: Key) -> None:
        if not key.foreign and self._books.total_credits <= self._books.total_usage:
            raise Refusal(402, "Insufficient credits.", _PAYMENT, metadata={"limit_source": "openrouter_credits"})

    def _check_key_limit(self, key: Key) -> None:
        if key.limit is None or self.spent_against_limit(key) < key.limit:
            return
        status = self.key_limit_status
        raise Refusal(
            status,
            "Key limit exceeded.",
            _PAYMENT if status == 402 else "permission_denied",
            metadata={"limit_source": "openrouter_key_limit", "limit_usd": plain(key.limit)},
        )

    def spent_against_limit(self, key: Key) -> Decimal:
        """What counts towards the key's limit in its running window, in USD."""
        total = self._books.spend[key.hash].over(key.limit_reset, self._clock.now())
        return EXACT.add(total.usage, total.byok) if key.include_byok_in_limit else total.usage

    def free_calls_today(self) -> int:
        """Calls of ``:free`` models by the whole account in the last day."""
        self._forget_old_calls()
        return len(self._free_calls)

    def _forget_old_calls(self) -> None:
        horizon = self._clock.now() - DAY
        while self._free_calls and self._free_calls[0] <= horizon:
            self._free_calls.popleft()

    def check_free_quota(self) -> None:
        """Count a call of a ``:free`` model. Raises Refusal (429)."""
        if not self.free_per_minute and not self.free_per_day:
            return
        now = self._clock.now()
        self._forget_old_calls()
        last_minute = sum(1 for at in self._free_calls if at > now - _MINUTE)
        if self.free_per_minute and last_minute >= self.free_per_minute:
            raise _free_quota_spent("free-models-per-min", self.free_per_minute, now + _MINUTE)
        if self.free_per_day and len(self._free_calls) >= self.free_per_day:
            raise _free_quota_spent("free-models-per-day", self.free_per_day, (now // DAY + 1) * DAY)
        self._free_calls.append(now)

    def reserve(self, amount: Decimal) -> None:
        """Count a running paid call at its estimate. Raises Refusal (402)."""
        budget = self.in_flight_budget
        if budget is None:
            return
        if amount > budget:
            raise Refusal(
                402,
                "This request requires more credits, or fewer max_tokens.",
                _PAYMENT,
                metadata={"limit_source": "openrouter_credits", "reason": "weight_exceeds_budget"},
            )
        if EXACT.add(self.in_flight, amount) > budget:
            raise Refusal(
                402,
                "Too many concurrent requests for your credit balance.",
                _PAYMENT,
                metadata={
                    "limit_source": "openrouter_in_flight_budget",
                    "reason": "in_flight_budget_exhausted",
                },
                headers=((b"retry-after", b"1"),),
            )
        self.in_flight = EXACT.add(self.in_flight, amount)

    def release(self, amount: Decimal) -> None:
        """A running call has ended."""
        if self.in_flight_budget is not None:
            self.in_flight = max(ZERO, EXACT.subtract(self.in_flight, amount))


def _free_quota_spent(which: str, limit: int, reset_at: float) -> Refusal:
    return Refusal(
        429,
        f"Rate limit exceeded: {which}.",
        "rate_limit_exceeded",
        headers=rate_limit_headers(limit, reset_at),
        fallback=True,
    )
