"""``/_sandbox/``: the books, faults on order, the clock. Only for callers on this machine."""

import os
from collections import deque
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from sandbox.admission import Admission
from sandbox.books import Books
from sandbox.call import Cashier
from sandbox.clock import Clock, date_of, day_of, iso
from sandbox.faults import KINDS, Faults, Forced
from sandbox.money import EXACT, ZERO, plain
from sandbox.records import CreditsBought, Generation
from sandbox.wire import Answer, Refusal, Request

_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_MOST_GENERATIONS = 10_000
_REQUESTS_KEPT = 200


class Control:
    """What a test or an operator does to the sandbox itself."""

    def __init__(
        self,
        *,
        books: Books,
        faults: Faults,
        clock: Clock,
        admission: Admission,
        cashier: Cashier,
        forget: Callable[[], None],
    ) -> None:
        self._books = books
        self._faults = faults
        self._clock = clock
        self._admission = admission
        self._cashier = cashier
        self._forget = forget
        self.requests: deque[Request] = deque(maxlen=_REQUESTS_KEPT)

    @staticmethod
    def allows(request: Request) -> bool:
        """Whether the caller is on this machine."""
        client = request.scope.get("client")
        return client is not None and client[0] in _LOOPBACK

    def health(self, request: Request) -> Answer:
        """``GET /_sandbox/health``."""
        return Answer({"status": "ok", "pid": os.getpid(), "now": iso(self._clock.now())})

    def reset(self, request: Request) -> Answer:
        """``POST /_sandbox/reset``: a fresh account, no faults, the real time."""
        self._clock.offset = 0.0
        self._faults.reset()
        self._books.reset()
        self._forget()
        self.requests.clear()
        return Answer({"status": "ok"})

    def order_fault(self, request: Request) -> Answer:
        """``POST /_sandbox/faults``: the next ``times`` matching calls fail as ``kind`` says."""
        try:
            order = msgspec.json.decode(request.body, type=Forced)
        except msgspec.DecodeError as error:
            raise Refusal(400, str(error), "invalid_request") from None
        if order.kind not in KINDS:
            raise Refusal(400, f"kind: one of {', '.join(KINDS)}", "invalid_request")
        self._faults.forced.append(order)
        return self.list_faults(request)

    def list_faults(self, request: Request) -> Answer:
        """``GET /_sandbox/faults``: what is ordered and not yet used up, and what can be ordered."""
        return Answer({"forced": self._faults.forced, "kinds": KINDS})

    def clear_faults(self, request: Request) -> Answer:
        """``DELETE /_sandbox/faults``."""
        self._faults.reset()
        return self.list_faults(request)

    def move_clock(self, request: Request) -> Answer:
        """``POST /_sandbox/clock``: ``{"offset": seconds}`` or ``{"now": "2026-12-01T00:00:00Z"}``."""
        body = request.json()
        try:
            if "now" in body:
                wanted = datetime.fromisoformat(body["now"]).timestamp()
                self._clock.offset += wanted - self._clock.now()
            else:
                self._clock.offset = float(body["offset"])
            iso(self._clock.now())
        except (KeyError, TypeError, ValueError, OverflowError):
            self._clock.offset = 0.0
            raise Refusal(400, "Send offset (seconds) or now (ISO 8601)", "invalid_request") from None
        return Answer({"now": iso(self._clock.now()), "offset": self._clock.offset})

    def configure(self, request: Request) -> Answer:
        """``POST /_sandbox/settings``: limits and delays to change while running; null removes a budget."""
        body = request.json()
        try:
            for name, value in body.items():
                self._set(name, value)
        except (TypeError, ValueError, InvalidOperation):
            raise Refusal(400, "A value does not fit its setting", "invalid_request") from None
        return Answer(
            {
                "in_flight_budget": _money(self._admission.in_flight_budget),
                "in_flight": _money(self._admission.in_flight),
                "key_limit_status": self._admission.key_limit_status,
                "free_per_minute": self._admission.free_per_minute,
                "free_per_day": self._admission.free_per_day,
                "generation_delay": self._cashier.generation_delay,
                "interrupted_delay": self._cashier.interrupted_delay,
                "total_credits": _money(self._books.total_credits),
            }
        )

    def _set(self, name: str, value: Any) -> None:
        if name == "in_flight_budget":
            self._admission.in_flight_budget = None if value is None else Decimal(str(value))
            self._admission.in_flight = ZERO
        elif name == "total_credits":
            difference = EXACT.subtract(Decimal(str(value)), self._books.total_credits)
            self._books.write(CreditsBought(amount=difference, at=self._clock.now()))
        elif name in ("key_limit_status", "free_per_minute", "free_per_day"):
            setattr(self._admission, name, int(value))
        elif name in ("generation_delay", "interrupted_delay"):
            setattr(self._cashier, name, float(value))
        else:
            raise Refusal(400, f"{name} is not a setting", "invalid_request")

    def read_books(self, request: Request) -> Answer:
        """``GET /_sandbox/books?key=&day=&model=&generations=1&id=``: exact sums as decimal strings."""
        query = request.query()
        rows = [row for row in self._rows() if _fits(row, query)]
        document: dict[str, Any] = {
            "totals": _sum(rows),
            "credits": {
                "total_credits": plain(self._books.total_credits),
                "total_usage": plain(self._books.total_usage),
            },
            "rows": [{**row, "usage": plain(row["usage"]), "byok_usage": plain(row["byok_usage"])} for row in rows],
        }
        if "generations" in query or "id" in query:
            document["generations"] = self._generations(query)
        return Answer(document)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "key": key,
                "name": self._books.keys[key].name if key in self._books.keys else None,
                "day": date_of(day).isoformat(),
                "model": total.model,
                "endpoint": total.endpoint,
                "provider": total.provider,
                "requests": total.requests,
                "prompt_tokens": total.prompt,
                "completion_tokens": total.completion,
                "reasoning_tokens": total.reasoning,
                "cached_tokens": total.cached,
                "usage": total.usage,
                "byok_usage": total.byok,
            }
            for (key, day, _, _), total in self._books.days.items()
        ]

    def _generations(self, query: dict[str, str]) -> list[dict[str, Any]]:
        if "id" in query:
            made = self._books.generations.get(query["id"])
            return [] if made is None else [_generation(made)]
        chosen = [
            made
            for made in self._books.generations.values()
            if query.get("key") in (None, made.key)
            and query.get("model") in (None, made.model)
            and ("day" not in query or day_of(made.at) == _day(query["day"]))
        ]
        return [_generation(made) for made in chosen[-_MOST_GENERATIONS:]]

    def list_requests(self, request: Request) -> Answer:
        """``GET /_sandbox/requests``: the last requests as they came, without their keys."""
        return Answer({"requests": [_received(seen) for seen in self.requests]})


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _day(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        raise Refusal(400, "day: Expected YYYY-MM-DD", "invalid_request") from None


def _fits(row: dict[str, Any], query: dict[str, str]) -> bool:
    return all(query.get(name) in (None, row[name]) for name in ("key", "day", "model"))


def _sum(rows: list[dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {}
    for name in ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"):
        totals[name] = sum(row[name] for row in rows)
    for name in ("usage", "byok_usage"):
        amount = ZERO
        for row in rows:
            amount = EXACT.add(amount, row[name])
        totals[name] = plain(amount)
    return totals


def _generation(made: Generation) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.structs.asdict(made)
    document["cost"], document["upstream_cost"] = plain(made.cost), plain(made.upstream_cost)
    return document


def _received(request: Request) -> dict[str, Any]:
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in request.headers.items()
        if name not in (b"authorization", b"cookie")
    }
    return {
        "method": request.method,
        "path": request.path,
        "query": request.scope["query_string"].decode("latin-1"),
        "headers": headers,
        "body": request.body.decode("utf-8", "replace"),
    }
