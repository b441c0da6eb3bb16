"""What the page of one model shows: its prices, and what the organization used it for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from core.charts import COUNT, Chart, ChartRow
from metering.analysis import Days, Group
from metering.errors import InvalidPrice
from metering.models import LanguageModel, ModelPrice, UsageDay
from metering.price_words import PriceCondition, PriceLine, conditions_of, lines_of
from metering.prices import PriceCard
from metering.sums import Row, usage_matrix, usage_total
from tiers.errors import NoTier
from tiers.options import Option
from tiers.querysets import terms_for
from tiers.words import markup_words

_HISTORY = 12  # prices


@dataclass(frozen=True, slots=True)
class PastPrice:
    """What a model cost from one instant to another."""

    price: ModelPrice
    lines: list[PriceLine]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model of the catalogue with its prices; ``model`` is None for one that only our events know."""

    model: LanguageModel | None
    price: ModelPrice | None
    lines: list[PriceLine]
    conditions: list[PriceCondition]
    history: list[PastPrice]
    markup: str
    may_use: bool


def model_facts(model_id: str, organization_id: UUID, *, at: datetime) -> ModelFacts:
    """The model as it costs ``organization_id`` now. Four queries at most."""
    model = LanguageModel.objects.with_price(at).filter(pk=model_id).first()
    price = model.price_now if model else None
    card = _card(price)
    past = ModelPrice.objects.filter(model_id=model_id).newest_first()[:_HISTORY] if model else []
    history = [PastPrice(each, _lines(_card(each))) for each in past]
    markup, may_use = _terms(organization_id, model_id, is_free=bool(price and price.is_free))
    return ModelFacts(model, price, _lines(card), conditions_of(card) if card else [], history, markup, may_use)


def _card(price: ModelPrice | None) -> PriceCard | None:
    try:
        return None if price is None else PriceCard.from_json(price.pricing)
    except InvalidPrice:
        return None


def _lines(card: PriceCard | None) -> list[PriceLine]:
    return lines_of(card.prices) if card else []


def _terms(organization_id: UUID, model_id: str, *, is_free: bool) -> tuple[str, bool]:
    try:
        terms = terms_for(organization_id)
    except NoTier:
        return "", False
    option = Option(terms.option, Decimal(0), terms.components, terms.byok_allowed)
    return markup_words(option), terms.may_use_model(model_id, is_free=is_free)


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model was used for in some days."""

    total: Group
    spend: Chart
    tokens: Chart
    last_day: date | None  # of all, in UTC; None: never used


def model_usage(organization_id: UUID, model_id: str, days: Days, *, compare: bool) -> ModelUsage:
    """From the sums; the number of queries does not depend on how much was used."""
    only = {"model": model_id}
    now = usage_total(organization_id, days.span, only=only)
    before = usage_total(organization_id, days.before().span, only=only) if compare else None
    starts, rows = usage_matrix(organization_id, days.span, days.granularity, by=(), only=only)
    by_start = {row["start"]: row for row in rows}
    last = (
        UsageDay.objects.filter(organization_id=organization_id, **only).order_by("-day").values_list("day", flat=True)
    )
    spend = [(_("Charged"), "charge")]
    tokens = [(_("Input"), "prompt_tokens"), (_("Output"), "completion_tokens")]
    return ModelUsage(
        Group(model_id, model_id, now, before),
        _chart(_("Spend over time"), spend, starts, by_start, days),
        _chart(_("Tokens over time"), tokens, starts, by_start, days, unit=COUNT),
        last.first(),
    )


def _chart(
    label: str,
    columns: Sequence[tuple[str, str]],
    starts: Sequence[datetime],
    by_start: dict[datetime, Row],
    days: Days,
    **more: Any,
) -> Chart:
    form = {"hour": "M j, H:i", "day": "M j", "month": "M Y"}[days.granularity]
    rows = [
        ChartRow(
            date_format(start.astimezone(days.zone), form),
            [by_start[start][name] if start in by_start else 0 for _label, name in columns],
        )
        for start in starts
    ]
    axis = {"hour": _("Hour"), "day": _("Day"), "month": _("Month")}[days.granularity]
    return Chart(
        label=label, axis=axis, names=[name for name, _column in columns], rows=rows if by_start else [], **more
    )
