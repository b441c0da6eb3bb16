"""Every change of the price book. A price is never edited: a change closes the row and opens the next.

All changes take one lock, so that two at a time come one after the other; the exclusion constraint on the periods
stands behind that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts.principal import Actor
from core.errors import InvalidRequest, NotFound
from metering.catalogue import ModelRecord, read_record
from metering.errors import InvalidPrice
from metering.models import LanguageModel, ModelPrice
from metering.price_book import forget_price_book
from metering.price_seed import SeedModel, read_seed
from metering.prices import PriceCard
from outbox.services import publish

OPERATOR = "operator"
_LOCK = 0x7072696365  # "price"
# A list that lost this share of its models since the last time is taken for a broken answer, not for news.
MOST_VANISHING = 2


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync changed, by model id. ``refused`` names models whose prices could not be read, and why.

    ``kept`` are those with an operator's price, which a sync never replaces. ``is_partial``: the list was suspiciously
    short, so nothing was marked as vanished.
    """

    added: list[str] = field(default_factory=list)
    repriced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    is_partial: bool = False


@transaction.atomic
def sync_models(
    payload: Sequence[Mapping[str, Any]], *, source: str, at: datetime, is_authority: bool = True
) -> SyncReport:
    """Bring the catalogue and the price book to what the provider listed at ``at`` (UTC).

    ``payload`` is the ``data`` of its ``/models`` for all modalities, parsed with exact decimals. A price that differs
    closes its row at ``at`` and opens the next; equal ones are not touched, nor are an operator's. A model whose
    prices cannot be read keeps the ones it has and is reported. Models that are no longer listed are marked, and keep
    their last price for calls still to be settled. With ``is_authority`` False only models that this source brought
    are changed, so that a second upstream can add its own.
    Running it twice, or two at once, comes to the same.
    """
    _lock_the_book()
    report = SyncReport()
    records = _read(payload, report)
    known = LanguageModel.objects.in_bulk()
    if not is_authority:
        records = {key: record for key, record in records.items() if _is_ours(known.get(key), source)}
    _keep_models(records, known, source, at, report)
    _keep_prices(records, source, at, report)
    report = _mark_vanished(records, known, source, at, report, is_authority)
    _tell_of_sync(report, source, at)
    _forget()
    return report


@transaction.atomic
def set_price(
    *,
    model_id: str,
    pricing: Mapping[str, Any],
    effective_from: datetime,
    note: str,
    actor: Actor | str,
    at: datetime,
    name: str = "",
) -> ModelPrice:
    """Set an operator's price from ``effective_from`` (``at`` or later) on, until the next one that is already set.

    It stands until :func:`follow_provider`; a sync does not replace it. A model that the catalogue does not know is
    added under ``name``. Raises InvalidPrice, and InvalidRequest for a beginning in the past: what was charged by a
    price is never rewritten.
    """
    if effective_from < at:
        raise InvalidRequest("A price cannot begin in the past.", effective_from=effective_from)
    card = PriceCard.from_json(pricing)
    if card.is_dynamic():
        raise InvalidPrice("An operator's price must be a price; -1 is the provider's word.")
    _lock_the_book()
    LanguageModel.objects.get_or_create(
        id=model_id,
        defaults={"name": name or model_id, "source": OPERATOR, "first_seen_at": at, "last_seen_at": at},
    )
    row = _open_price(model_id, card, effective_from, OPERATOR, note)
    publish(
        type="price.set",
        organization_id=None,
        data={"model": model_id, "pricing": row.pricing, "effective_from": effective_from, "note": note},
        actor=actor,
        at=at,
    )
    _forget()
    return row


@transaction.atomic
def follow_provider(*, model_id: str, reason: str, actor: Actor | str, at: datetime) -> ModelPrice:
    """End an operator's price at ``at``: from then on the last listed price holds, and syncs renew it again.

    Raises NotFound when no price was ever listed for the model.
    """
    _lock_the_book()
    listed = ModelPrice.objects.filter(model_id=model_id, effective_from__lte=at).exclude(source=OPERATOR)
    last = listed.order_by("-effective_from", "-created_at").first()
    if last is None:
        raise NotFound("No listed price is known for this model.", model=model_id)
    row = _open_price(model_id, PriceCard.from_json(last.pricing), at, last.source, "follows the provider again")
    facts = {"model": model_id, "reason": reason}
    publish(type="price.followed", organization_id=None, data=facts, actor=actor, at=at)
    _forget()
    return row


@transaction.atomic
def load_price_seed(*, at: datetime) -> int:
    """Give every model of the packaged list that has no price yet its prices; answers how many models."""
    _lock_the_book()
    seed = read_seed()
    priced = set(ModelPrice.objects.values_list("model_id", flat=True).distinct())
    missing = [model for model in seed.models if model.id not in priced]
    LanguageModel.objects.bulk_create(
        [_seeded_model(model, seed.source, at) for model in missing], ignore_conflicts=True
    )
    ModelPrice.objects.bulk_create([row for model in missing for row in _seeded_prices(model, seed.source)])
    _forget()
    return len(missing)


def _lock_the_book() -> None:
    """One change of the price book at a time; readers never wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _forget() -> None:
    """This process sees its own change at once, others within a second."""
    forget_price_book()
    transaction.on_commit(forget_price_book)


def _read(payload: Sequence[Mapping[str, Any]], report: SyncReport) -> dict[str, ModelRecord]:
    records = {}
    for item in payload:
        record = read_record(item)
        if record is None:
            report.refused["(no id)"] = "a record without a usable id"
            continue
        records[record.id] = record
        if record.card is None:
            report.refused[record.id] = record.problem
    return records


def _is_ours(model: LanguageModel | None, source: str) -> bool:
    return model is None or model.source == source


def _keep_models(
    records: Mapping[str, ModelRecord],
    known: Mapping[str, LanguageModel],
    source: str,
    at: datetime,
    report: SyncReport,
) -> None:
    """Add new models, renew changed ones, and note of all that they were seen."""
    report.added.extend(sorted(records.keys() - known.keys()))
    LanguageModel.objects.bulk_create(
        [
            LanguageModel(id=key, source=source, first_seen_at=at, last_seen_at=at, **records[key].fields)
            for key in report.added
        ]
    )
    for key in sorted(records.keys() & known.keys()):
        model, record = known[key], records[key]
        if aliases := model.details.get("aliases"):
            record.fields["details"].setdefault("aliases", aliases)
        if model.vanished_at is not None:
            report.returned.append(key)
        if model.vanished_at is not None or model.source != source or record.differs_from(model):
            LanguageModel.objects.filter(id=key).update(source=source, vanished_at=None, **record.fields)
    LanguageModel.objects.filter(id__in=records.keys(), last_seen_at__lt=at).update(last_seen_at=at)


def _keep_prices(records: Mapping[str, ModelRecord], source: str, at: datetime, report: SyncReport) -> None:
    current = {row.model_id: row for row in _holding_at(at).filter(model_id__in=records.keys())}
    for key, record in sorted(records.items()):
        row = current.get(key)
        if record.card is None:
            continue
        if row is not None and row.source == OPERATOR:
            report.kept.append(key)
        elif row is not None and row.pricing == record.card.to_json():
            report.unchanged.append(key)
        else:
            _open_price(key, record.card, at, source, "")
            if key not in report.added:
                report.repriced.append(key)


def _holding_at(at: datetime) -> QuerySet[ModelPrice]:
    return ModelPrice.objects.filter(Q(effective_to__isnull=True) | Q(effective_to__gt=at), effective_from__lte=at)


def _open_price(model_id: str, card: PriceCard, start: datetime, source: str, note: str) -> ModelPrice:
    """Close what holds at ``start`` there and open a row until the next one that begins later, if any."""
    _holding_at(start).filter(model_id=model_id).update(effective_to=start)
    later = ModelPrice.objects.filter(model_id=model_id, effective_from__gt=start).order_by("effective_from").first()
    return ModelPrice.objects.create(
        model_id=model_id,
        pricing=card.to_json(),
        is_free=card.is_free(),
        effective_from=start,
        effective_to=later.effective_from if later else None,
        source=source,
        note=note,
    )


def _mark_vanished(
    records: Mapping[str, ModelRecord],
    known: Mapping[str, LanguageModel],
    source: str,
    at: datetime,
    report: SyncReport,
    is_authority: bool,
) -> SyncReport:
    listed = [model for model in known.values() if model.vanished_at is None]
    own = [model for model in listed if model.source == source]
    missing = [model for model in own if model.id not in records]
    if not records or len(missing) * MOST_VANISHING > len(own) > 0:
        return replace(report, is_partial=True)
    if is_authority:
        seeded = (model for model in listed if model.source == read_seed().source)
        missing.extend(model for model in seeded if model.id not in records)
    report.vanished.extend(sorted(model.id for model in missing))
    LanguageModel.objects.filter(id__in=report.vanished).update(vanished_at=at)
    return report


def _tell_of_sync(report: SyncReport, source: str, at: datetime) -> None:
    news = {
        "added": report.added,
        "repriced": report.repriced,
        "vanished": report.vanished,
        "returned": report.returned,
        "refused": report.refused,
    }
    if any(news.values()) or report.is_partial:
        data = {"source": source, "is_partial": report.is_partial, **news}
        publish(type="prices.synced", organization_id=None, data=data, actor="price sync", at=at)


def _seeded_model(model: SeedModel, source: str, at: datetime) -> LanguageModel:
    return LanguageModel(
        id=model.id,
        name=model.name,
        context_length=model.context_length,
        details={"aliases": list(model.aliases)} if model.aliases else {},
        source=source,
        first_seen_at=at,
        last_seen_at=at,
    )


def _seeded_prices(model: SeedModel, source: str) -> list[ModelPrice]:
    ends = [price.effective_from for price in model.prices[1:]]
    rows = []
    for price, end in zip(model.prices, [*ends, None], strict=True):
        card = PriceCard.from_json(price.pricing)
        rows.append(
            ModelPrice(
                model_id=model.id,
                pricing=card.to_json(),
                is_free=card.is_free(),
                effective_from=price.effective_from,
                effective_to=end,
                source=source,
            )
        )
    return rows
