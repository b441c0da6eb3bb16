"""Which price holds for a model at an instant: the price book in memory, at most a second old.

Every process keeps the models and the prices of recent weeks. Within a second of a change (in any process; the database
marks it) the book is read again, in a thread when an event loop asks.
"""

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models import F, Q
from django.utils import timezone

from metering.models import LanguageModel, ModelPrice
from metering.prices import PriceCard

FRESH_SECONDS = 0.8
# While the book is read again the old one serves; older than this it does not.
STALE_SECONDS = 5.0
# Prices that ended longer ago are read from the database when an old event asks for them.
KEPT = timedelta(days=40)
# They choose among the routes of the same model and price. ``:free`` and the other suffixes are models of their own.
ROUTING_SUFFIXES = (":nitro", ":floor", ":exacto", ":online", ":thinking", ":beta")

_LATEST = 4_102_444_800  # seconds; what claims to be made after 2100 is no time

log = structlog.get_logger(__name__)
T = TypeVar("T")
# A row that was replaced before it began holds at no instant.
_NOT_EMPTY = ~Q(effective_to=F("effective_from")) | Q(effective_to__isnull=True)


@dataclass(frozen=True, slots=True)
class BookModel:
    """A model as calls need it; ``is_listed`` is False once the provider's list no longer has it."""

    id: str
    canonical_slug: str
    name: str
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    source: str
    is_listed: bool
    published_at: datetime | None = None  # as the provider says; else when it was first seen


@dataclass(frozen=True, slots=True)
class BookPrice:
    """A row of the price book: what ``model`` costs from ``effective_from`` until ``effective_to`` (excluded)."""

    id: UUID
    model: BookModel
    card: PriceCard
    is_free: bool
    source: str
    effective_from: datetime
    effective_to: datetime | None


def card_for(model_id: str, at: datetime, *, requested: str = "") -> BookPrice | None:
    """The price of a model at ``at`` (UTC), by any name that requests and answers use for it; None when unknown.

    Names: the id, an id with a routing suffix, a moving alias (``~vendor/model-latest``), a canonical or dated slug.
    Paid and free variants share a slug: then the one that was ``requested`` is meant, and the paid one otherwise.
    """
    return _find(book.current(), model_id, at, requested)


async def card_for_async(model_id: str, at: datetime, *, requested: str = "") -> BookPrice | None:
    """The same for the event loop, which is never blocked."""
    snapshot = await book.current_async()
    if at < snapshot.kept_from:
        return await _in_thread(lambda: _find(snapshot, model_id, at, requested))
    return _find(snapshot, model_id, at, requested)


def listed_models() -> list[BookModel]:
    """Every model of the catalogue that the provider lists at present, by id."""
    snapshot = book.current()
    return [snapshot.models[key] for key in sorted(snapshot.models) if snapshot.models[key].is_listed]


def forget_price_book() -> None:
    """Drop this process's copy, so that the next question reads the database."""
    book.forget()


@dataclass(frozen=True, slots=True)
class _Snapshot:
    version: UUID | None
    kept_from: datetime
    models: Mapping[str, BookModel]
    by_slug: Mapping[str, tuple[str, ...]]
    prices: Mapping[str, tuple[BookPrice, ...]]  # by beginning

    def resolve(self, name: str, requested: str) -> str | None:
        """The id of the model that ``name`` stands for."""
        while name not in self.models:
            ids = self.by_slug.get(name, ())
            if ids:
                asked = self.resolve(requested, "") if requested else None
                return asked if asked in ids else min(ids, key=lambda key: (key.endswith(":free"), key))
            base, colon, suffix = name.rpartition(":")
            if suffix == "free" and self.by_slug.get(base):
                return next((key for key in self.by_slug[base] if key.endswith(":free")), None)
            if not colon or f":{suffix}" not in ROUTING_SUFFIXES:
                return None
            name = base
        return name

    def price(self, model_id: str, at: datetime) -> BookPrice | None:
        """The row that holds at ``at``, among those that are kept."""
        rows = self.prices.get(model_id, ())
        index = bisect_right(rows, at, key=lambda row: row.effective_from)
        if not index:
            return None
        row = rows[index - 1]
        return row if row.effective_to is None or at < row.effective_to else None


def _find(snapshot: _Snapshot, name: str, at: datetime, requested: str) -> BookPrice | None:
    model_id = snapshot.resolve(name, requested)
    if model_id is None:
        return None
    if at >= snapshot.kept_from:
        return snapshot.price(model_id, at)
    ended_later = Q(effective_to__isnull=True) | Q(effective_to__gt=at)
    row = ModelPrice.objects.filter(ended_later, _NOT_EMPTY, model_id=model_id, effective_from__lte=at).first()
    return _price_of(row, snapshot.models[model_id]) if row else None


class PriceBook:
    """The book in memory. One thread reads it again while the others go on with the old one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshot: _Snapshot | None = None
        self._checked_at = 0.0
        self._refresh: asyncio.Task[_Snapshot] | None = None

    def current(self) -> _Snapshot:
        """The book, looked up again when it is older than FRESH_SECONDS."""
        snapshot, age = self._snapshot, self._age()
        if snapshot is not None and age < FRESH_SECONDS:
            return snapshot
        is_usable = snapshot is not None and age < STALE_SECONDS
        if not self._lock.acquire(blocking=not is_usable) and snapshot is not None:
            return snapshot
        try:
            return self._look()
        finally:
            self._lock.release()

    async def current_async(self) -> _Snapshot:
        """The same without blocking: a book a moment too old serves while a thread looks."""
        snapshot, age = self._snapshot, self._age()
        if snapshot is not None and age < FRESH_SECONDS:
            return snapshot
        refresh = self._refresh
        if refresh is None or refresh.done() or refresh.get_loop() is not asyncio.get_running_loop():
            refresh = self._refresh = asyncio.ensure_future(_in_thread(self.current))
            refresh.add_done_callback(_tell)
        if snapshot is None or age >= STALE_SECONDS:
            return await asyncio.shield(refresh)
        return snapshot

    def forget(self) -> None:
        """Read the database at the next question."""
        self._snapshot = None

    def _age(self) -> float:
        return self._clock() - self._checked_at

    def _look(self) -> _Snapshot:
        asked_at, version, snapshot = self._clock(), _version(), self._snapshot
        if snapshot is None or snapshot.version != version or _wants_trimming(snapshot):
            snapshot = _read(version)
        # The time before the question, so that an answer is never taken for newer than it is.
        self._snapshot, self._checked_at = snapshot, asked_at
        return snapshot


book = PriceBook()


async def _in_thread(work: Callable[[], T]) -> T:
    return await sync_to_async(_in_own_connection, thread_sensitive=False)(work)


def _in_own_connection(work: Callable[[], T]) -> T:
    """Work of a pool thread, which must not keep a connection of its own for ever."""
    try:
        return work()
    finally:
        connection.close()


def _tell(refresh: asyncio.Task[_Snapshot]) -> None:
    """A book that cannot be read serves on for STALE_SECONDS; then calls fail. Say so at once."""
    if not refresh.cancelled() and (error := refresh.exception()):
        log.error("price_book_unreadable", error=repr(error))


def _version() -> UUID | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT version FROM metering_pricebookversion")
        row = cursor.fetchone()
    return row[0] if row else None


def _wants_trimming(snapshot: _Snapshot) -> bool:
    return timezone.now() - snapshot.kept_from > KEPT + timedelta(days=1)


def _read(version: UUID | None) -> _Snapshot:
    """The whole book. The version was read before it: what changes meanwhile is found at the next look."""
    kept_from = timezone.now() - KEPT
    kept = Q(effective_to__isnull=True) | Q(effective_to__gt=kept_from)
    price_rows = list(ModelPrice.objects.filter(kept, _NOT_EMPTY).order_by("effective_from"))
    model_rows = list(LanguageModel.objects.all())  # second, so that every price finds its model
    models = {row.id: _model_of(row) for row in model_rows}
    prices: dict[str, list[BookPrice]] = {}
    for row in price_rows:
        prices.setdefault(row.model_id, []).append(_price_of(row, models[row.model_id]))
    return _Snapshot(
        version=version,
        kept_from=kept_from,
        models=models,
        by_slug=_slugs(model_rows),
        prices={model_id: tuple(rows) for model_id, rows in prices.items()},
    )


def _slugs(rows: Iterable[LanguageModel]) -> dict[str, tuple[str, ...]]:
    """The other names of each model: its canonical slug, and aliases that the record lists."""
    slugs: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for name in filter(None, [row.canonical_slug, *row.details.get("aliases", [])]):
            if name != row.id:
                slugs[name] = (*slugs.get(name, ()), row.id)
    return slugs


def _model_of(row: LanguageModel) -> BookModel:
    return BookModel(
        id=row.id,
        canonical_slug=row.canonical_slug,
        name=row.name,
        context_length=row.context_length,
        max_completion_tokens=row.max_completion_tokens,
        input_modalities=tuple(row.input_modalities),
        output_modalities=tuple(row.output_modalities),
        source=row.source,
        is_listed=row.vanished_at is None,
        published_at=_published(row),
    )


def _published(row: LanguageModel) -> datetime:
    created = row.details.get("created")
    if type(created) is int and 0 < created < _LATEST:
        return datetime.fromtimestamp(created, UTC)
    return row.first_seen_at


def _price_of(row: ModelPrice, model: BookModel) -> BookPrice:
    card = PriceCard.from_json(row.pricing)
    return BookPrice(row.id, model, card, card.is_free(), row.source, row.effective_from, row.effective_to)
