"""A what-if as its page shows it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from advice.models import WhatIfRun
from advice.what_if.change import Change
from core import amounts
from core.charts import Chart, ChartRow
from core.money import to_wire
from core.ttlcache import TtlCache
from tiers.models import Tier

_tiers: TtlCache[str, str] = TtlCache(seconds=5, size=1_000)
_WINDOWS = {"daily": lazy("a day"), "weekly": lazy("a week"), "monthly": lazy("a month"), "total": lazy("in all")}


@dataclass(frozen=True, slots=True)
class Line:
    """Recorded beside replayed, USD."""

    label: str
    other: str  # the model that answered instead; empty: the same
    events: int
    recorded: Decimal
    replayed: Decimal

    @property
    def saved(self) -> Decimal:
        """Below zero: it would have been dearer."""
        return self.recorded - self.replayed

    @property
    def gap(self) -> Decimal:
        """The difference, whichever way."""
        return abs(self.saved)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a run, ready to be printed."""

    total: Line
    recorded: Mapping[str, Any]
    replayed: Mapping[str, Any]
    models: list[Line]
    chart: Chart
    stopped: Mapping[str, Any]
    refused: Mapping[str, Any]
    unpriced: Mapping[str, Any]

    @property
    def change(self) -> int | None:
        """Growth in whole per cent; None where nothing had been paid."""
        return round((self.total.replayed / self.total.recorded - 1) * 100) if self.total.recorded else None


def answer_of(run: WhatIfRun) -> Answer | None:
    """The answer in figures; None while there is none."""
    result = run.result
    if result is None:
        return None
    return Answer(
        total=_line(_("Together"), "", result),
        recorded=_amounts(result["recorded"]),
        replayed=_amounts(result["replayed"]),
        models=[_line(row["model"] or _("Without a model"), _other(row), row) for row in result["by_model"]],
        chart=_chart(result["by_day"]),
        stopped=_lost(result["stopped"]),
        refused=_lost(result["refused"]),
        unpriced=_lost(result["unpriced"]),
    )


def change_words(run: WhatIfRun) -> str:
    """What was imagined, in a sentence."""
    return "; ".join(_words(Change.from_json(run.change)))


def _words(change: Change) -> Iterator[str]:
    if change.model:
        yield _("answers by %(model)s") % {"model": change.model}
    if change.tier:
        name = _name_of_tier(change.tier)
        own_key = _(" with your own key") if change.option == "byok" else ""
        yield _("the %(tier)s plan%(option)s") % {"tier": name, "option": own_key}
    if change.markup_percent is not None:
        yield _("a markup of %(percent)s %%") % {"percent": to_wire(change.markup_percent)}
    if change.prices_at is not None:
        yield _("the prices of %(day)s") % {"day": date_format(change.prices_at, "M j, Y")}
    if change.pricing is not None:
        yield _("another price list")
    if change.is_byok is not None:
        yield _("your own key pays") if change.is_byok else _("your credit pays")
    if change.cap is not None:
        facts = {"amount": amounts.readable(change.cap).removesuffix(".00"), "window": _WINDOWS[change.window]}
        yield _("a budget of %(amount)s %(window)s") % facts


def _name_of_tier(slug: str) -> str:
    """Its name, remembered for a moment: lists say it in every line."""
    try:
        return _tiers.get(slug)
    except KeyError:
        name = Tier.objects.current().filter(slug=slug).values_list("name", flat=True).first() or slug
        _tiers.put(slug, name)
        return name


def _other(row: Mapping[str, Any]) -> str:
    return row["replayed_model"] if row["replayed_model"] != row["model"] else ""


def _line(label: str, other: str, row: Mapping[str, Any]) -> Line:
    before, after = Decimal(row["recorded"]["spend"]), Decimal(row["replayed"]["spend"])
    return Line(label, other, row["recorded"]["events"], before, after)


def _amounts(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if name == "events" else Decimal(value) for name, value in figures.items()}


def _lost(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {**figures, "amount": Decimal(figures["amount"])}


def _chart(days: list[Mapping[str, Any]]) -> Chart:
    rows = [
        ChartRow(
            date_format(date.fromisoformat(row["day"]), "M j"),
            [Decimal(row["recorded"]["spend"]), Decimal(row["replayed"]["spend"])],
        )
        for row in days
    ]
    return Chart(
        label=_("Recorded and replayed, by day"),
        axis=_("Day"),
        names=[_("As it was"), _("What if")],
        rows=rows,
        kind="line",
        dashed=frozenset([_("What if")]),
        apart=frozenset([_("What if")]),
    )
