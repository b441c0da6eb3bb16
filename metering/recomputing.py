"""Charges computed again: from what was stored beside each, and from the row of the price book that it names.

One charge or a hundred thousand, the same checks: do the stored lines add up to the charge; does the price row, which
never changes, still give these very lines; did the ledger take that amount.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.utils.translation import gettext as _

from core.money import ZERO, to_wire
from credits.models import LedgerEntry
from metering.derivation import BrokenDerivation, charge_of, cost_lines
from metering.errors import InvalidPrice, UnpriceableCall
from metering.models import ModelPrice, UsageEvent
from metering.prices import PriceCard
from metering.rating import Line, rate
from metering.usage import TokenUsage

_BATCH = 2_000
_PROMPT = ("prompt", "input_cache_read", "input_audio_cache", "input_cache_write", "input_cache_write_1h")
_MEDIA = ("audio", "image_token")
_ANSWER = ("completion", "internal_reasoning", "audio_output")


class Recomputed(NamedTuple):
    """An event, and why its charge does not add up; empty when it does."""

    event: UsageEvent
    problem: str


def recompute_charges(events: Iterable[UsageEvent]) -> Iterator[Recomputed]:
    """Every charge of ``events`` computed again, in their order. Two queries for each two thousand.

    What events changed on a tier's meters is not looked at here; a receipt of a single one does.
    """
    cards: dict[UUID, PriceCard | None] = {}
    for group in _groups(events):
        _read_cards(cards, {event.price_id for event in group if event.price_id} - cards.keys())
        entries = {event.entry_id for event in group if event.entry_id}
        taken = dict(LedgerEntry.objects.filter(pk__in=entries).values_list("pk", "amount"))
        for event in group:
            card = cards.get(event.price_id) if event.price_id else None
            amount = -taken.get(event.entry_id, ZERO) if event.entry_id else ZERO
            yield Recomputed(event, problem_of(event, card) or ledger_problem(event, amount))


def problem_of(event: UsageEvent, card: PriceCard | None) -> str:
    """Why the stored figures do not give the charge, or the price list ``card`` not the stored figures; else empty."""
    derivation = event.derivation
    if not derivation and not event.charge:  # neither a price nor a cost: there was nothing to derive
        return ""
    try:
        charge = charge_of(derivation).charge
    except (BrokenDerivation, KeyError) as why:
        return _("The stored figures cannot be computed again: %s") % why
    if charge != event.charge:
        facts = {"again": to_wire(charge), "stored": to_wire(event.charge)}
        return _("Computed again it is %(again)s, charged was %(stored)s.") % facts
    return price_problem(derivation, card, event.occurred_at) if card is not None else ""


def price_problem(derivation: Mapping[str, Any], card: PriceCard, at: datetime) -> str:
    """Whether the price list gives the stored lines for what was used at ``at``; empty when it does."""
    lines = cost_lines(derivation)
    if not lines:
        return ""
    try:
        rated = rate(_usage_of(lines), card, at, derivation["computed"].get("service_tier"))
    except UnpriceableCall as why:
        return _("The price list that it names has no price for it: %s") % why
    if [_figures(line) for line in rated.lines] == [_figures(line) for line in lines]:
        return ""
    return _("The price list that it names says %(again)s for what was used, stored was %(stored)s.") % {
        "again": to_wire(rated.cost),
        "stored": derivation["computed"]["cost"],
    }


def ledger_problem(event: UsageEvent, taken: Decimal) -> str:
    """Whether the ledger took the charge: ``taken`` USD; empty when it did."""
    return "" if taken == event.charge else _("The ledger took %(taken)s.") % {"taken": to_wire(taken)}


def card_of(price: ModelPrice | None) -> PriceCard | None:
    """A row's price list; None for one that cannot be read."""
    try:
        return None if price is None else PriceCard.from_json(price.pricing)
    except InvalidPrice:
        return None


def _usage_of(lines: Iterable[Line]) -> TokenUsage:
    """What was used, put together again from its classes, which do not overlap."""
    of: dict[str, Decimal] = {line.price_class: Decimal(line.quantity) for line in lines}

    def whole(*names: str) -> int:
        return int(sum(of.get(name, ZERO) for name in names))

    return TokenUsage(
        prompt_tokens=whole(*_PROMPT, *_MEDIA),
        completion_tokens=whole(*_ANSWER),
        cached_tokens=whole("input_cache_read", "input_audio_cache"),
        cached_audio_tokens=whole("input_audio_cache"),
        cache_write_tokens=whole("input_cache_write", "input_cache_write_1h"),
        cache_write_1h_tokens=whole("input_cache_write_1h"),
        audio_tokens=whole("audio"),
        image_tokens=whole("image_token"),
        reasoning_tokens=whole("internal_reasoning"),
        audio_output_tokens=whole("audio_output"),
        images=whole("image"),
        output_images=whole("image_output"),
        searches=whole("web_search"),
        characters=whole("character"),
        requests=whole("request"),
        seconds=of.get("second", ZERO),
    )


def _figures(line: Line) -> tuple[str, Decimal, Decimal]:
    return line.price_class, Decimal(line.quantity), line.unit_price


def _groups(events: Iterable[UsageEvent]) -> Iterator[list[UsageEvent]]:
    rest = iter(events)
    while group := list(islice(rest, _BATCH)):
        yield group


def _read_cards(cards: dict[UUID, PriceCard | None], wanted: set[UUID]) -> None:
    found = ModelPrice.objects.in_bulk(wanted)
    cards.update({key: card_of(found.get(key)) for key in wanted})
