"""``/credits``, ``/activity`` and ``/generation``: the account's money, finished days and single calls."""

from datetime import date
from typing import Any

from sandbox.admission import Admission
from sandbox.answers import generation_document
from sandbox.books import Books
from sandbox.catalogue import Catalogue
from sandbox.clock import Clock, date_of, day_of
from sandbox.money import number
from sandbox.spend import DayTotal
from sandbox.wire import Answer, Refusal, Request

_DAYS_SHOWN = 30


class Account:
    """Reads over the books."""

    def __init__(self, books: Books, catalogue: Catalogue, admission: Admission, clock: Clock) -> None:
        self._books = books
        self._catalogue = catalogue
        self._admission = admission
        self._clock = clock

    def credits(self, request: Request) -> Answer:
        """``GET /credits``."""
        self._admission.management_key(request)
        books = self._books
        money = {"total_credits": number(books.total_credits), "total_usage": number(books.total_usage)}
        return Answer({"data": money})

    def generation(self, request: Request) -> Answer:
        """``GET /generation?id=``: 404 until the record has become visible."""
        self._admission.key(request)
        wanted = request.query().get("id")
        if not wanted:
            raise Refusal(400, "id: Required", "invalid_request")
        made = self._books.generations.get(wanted)
        if made is None or made.visible_at > self._clock.now():
            raise Refusal(404, f"Generation {wanted} not found", "not_found")
        return Answer({"data": generation_document(made, self._permaslug(made.model))})

    def _permaslug(self, model: str) -> str:
        found = self._catalogue.models.get(model)
        return found.entry.canonical_slug if found else model

    def activity(self, request: Request) -> Answer:
        """``GET /activity``: a row per finished UTC day, model and endpoint; today is not in it."""
        self._admission.management_key(request)
        query = request.query()
        today = day_of(self._clock.now())
        days = range(today - _DAYS_SHOWN, today)
        if "date" in query:
            days = _one_day(query["date"], days)
        rows: dict[tuple[int, str, str], DayTotal] = {}
        for (key_hash, day, model, endpoint), total in self._books.days.items():
            if day in days and self._is_shown(key_hash, query.get("api_key_hash")):
                row = rows.setdefault((-day, model, endpoint), DayTotal(model, endpoint, total.provider))
                row.include(total)
        return Answer({"data": [self._row(-place[0], row) for place, row in sorted(rows.items())]})

    def _is_shown(self, key_hash: str, wanted: str | None) -> bool:
        key = self._books.keys.get(key_hash)
        return wanted in (None, key_hash) and not (key is not None and key.foreign)

    def _row(self, day: int, total: DayTotal) -> dict[str, Any]:
        return {
            "date": date_of(day).isoformat(),
            "model": total.model,
            "model_permaslug": self._permaslug(total.model),
            "endpoint_id": total.endpoint,
            "provider_name": total.provider,
            "usage": number(total.usage),
            "byok_usage_inference": number(total.byok),
            "requests": total.requests,
            "prompt_tokens": total.prompt,
            "completion_tokens": total.completion,
            "reasoning_tokens": total.reasoning,
            "cached_tokens": total.cached,
        }


def _one_day(text: str, days: range) -> range:
    try:
        day = date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        raise Refusal(400, "date: Expected YYYY-MM-DD", "invalid_request") from None
    if day not in days:
        raise Refusal(400, f"Date must be within the last {_DAYS_SHOWN} (completed) UTC days", "invalid_request")
    return range(day, day + 1)
