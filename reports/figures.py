"""What a report says: sums of its days by day, model, person, team and prompt, beside the days before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.dateformat import format as date_format

from accounts.models import Organization, Team
from core.charts import Chart, ChartRow
from core.money import ZERO, to_wire
from metering.analysis import Days
from metering.analytics.answering import Answer, answer
from metering.analytics.asking import Question
from metering.analytics.dimensions import dimension_of, within
from metering.ranges import UTC_ZONE, span_of_day
from metering.sums import Row, Span
from reports.models import Report
from reports.periods import Period

LINES = 10  # of each breakdown
_TOTALS = ("events", "errors", "prompt_tokens", "completion_tokens")
_AMOUNTS = ("provider_cost", "markup", "charge", "byok_cost")
# heading by what it is by; of a team, not by team unless it is a department
BREAKDOWNS = {"model": "By model", "team": "By team", "member": "By member", "key": "By API key", "prompt": "By prompt"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about: an organization, or a team of it with those that stand in it."""

    organization: Organization
    team: Team | None

    @property
    def only(self) -> dict[str, Any]:
        """The same in words of the sums."""
        return {} if self.team is None else {"team_id__in": within(self.organization, self.team.id)}


def figures_of(scope: Scope, period: Period, *, kept: date | None = None) -> dict[str, Any]:
    """The figures of a period as they are stored. Days before ``kept`` are beyond the tier's history."""
    zone = ZoneInfo(scope.organization.time_zone)
    first = period.first if kept is None else min(max(period.first, kept), period.last)
    days = Days(first, period.last, zone)
    compares = kept is None or days.before().first >= kept
    whole = answer(Question(scope.organization, days.span, only=scope.only), compare=compares)
    by_day = answer(Question(scope.organization, days.span, only=scope.only, granularity="day"))
    has_teams = scope.team is None or len(scope.only["team_id__in"]) > 1
    slugs = [slug for slug in BREAKDOWNS if slug != "team" or has_teams]
    return {
        "days": [days.first.isoformat(), days.last.isoformat()],
        "total": _sums(whole.total),
        "previous": None if whole.previous is None else _sums(whole.previous),
        "by_day": _by_day(days, by_day),
        "breakdowns": [found for slug in slugs if (found := _breakdown(scope, days, slug, compares))],
    }


def _by_day(days: Days, found: Answer) -> list[dict[str, Any]]:
    """Every day, also those without usage."""
    charges = {line.start.date(): line.now["charge"] for line in found.lines if line.start is not None}
    each = (days.first + timedelta(days=place) for place in range(days.count))
    return [{"day": day.isoformat(), "charge": to_wire(charges.get(day, ZERO))} for day in each]


def _breakdown(scope: Scope, days: Days, slug: str, compares: bool) -> dict[str, Any] | None:
    """The dearest lines, and one for the rest; None where there is nothing to tell apart."""
    dimension = dimension_of(slug)
    if dimension is None:
        return None
    span = _days_of_utc(days) if dimension.tag_key else days.span
    question = Question(scope.organization, span, by=(dimension,), only=scope.only, tag=dimension.tag_key)
    found = answer(question, compare=compares)
    if not any(line.group[slug] for line in found.lines):
        return None
    lines = [_line(found, slug, each) for each in found.lines[:LINES]]
    rest = found.lines[LINES:]
    if rest:
        more = {name: sum((line.now[name] for line in rest), 0) for name in (*_TOTALS, *_AMOUNTS)}
        before = sum((line.before["charge"] for line in rest if line.before), ZERO) if compares else None
        name = f"{len(rest)} more"
        lines.append({"name": name, **_sums(more), "previous": None if before is None else to_wire(before)})
    return {"by": slug, "lines": lines}


def _days_of_utc(days: Days) -> Span:
    return Span(span_of_day(days.first, UTC_ZONE).start, span_of_day(days.last, UTC_ZONE).end, UTC_ZONE)


def _line(found: Answer, slug: str, line: Any) -> dict[str, Any]:
    name = found.label(slug, line.group[slug]) or "Without a model"
    before = None if line.before is None else to_wire(line.before["charge"])
    return {"name": name, **_sums(line.now), "previous": before}


def _sums(row: Mapping[str, Any] | Row) -> dict[str, Any]:
    latency = {}
    if row.get("latency_count"):
        latency = {"latency_ms": round(Decimal(row["latency_ms"]) / row["latency_count"])}
    whole = {name: int(row[name]) for name in _TOTALS}
    return {**whole, **{name: to_wire(Decimal(row[name])) for name in _AMOUNTS}, **latency}


def change_of(now: str, before: str | None) -> int | None:
    """Growth in whole per cent; None without a past."""
    if before is None or not Decimal(before):
        return None
    return round((Decimal(now) / Decimal(before) - 1) * 100)


@dataclass(frozen=True, slots=True)
class Shown:
    """A report ready for a page or a document: stored, or only looked ahead at."""

    subject: str
    cadence: str
    first: date
    last: date
    zone: str
    figures: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Its heading."""
        return f"{self.cadence.capitalize()} report: {self.subject}"

    @property
    def change(self) -> int | None:
        """Of the charge."""
        before = self.figures["previous"]
        return change_of(self.figures["total"]["charge"], before and before["charge"])

    @property
    def tokens(self) -> int:
        """In and out."""
        total = self.figures["total"]
        return int(total["prompt_tokens"] + total["completion_tokens"])

    @property
    def breakdowns(self) -> Sequence[tuple[str, Sequence[Mapping[str, Any]]]]:
        """Heading and lines of each."""
        return [
            (
                BREAKDOWNS[each["by"]],
                [{**line, "change": change_of(line["charge"], line["previous"])} for line in each["lines"]],
            )
            for each in self.figures["breakdowns"]
        ]

    @property
    def chart(self) -> Chart:
        """Spend by day."""
        rows = [
            ChartRow(date_format(date.fromisoformat(each["day"]), "M j"), [Decimal(each["charge"])])
            for each in self.figures["by_day"]
        ]
        return Chart(label="Spend by day", axis="Day", names=["Spend"], rows=rows)


def shown(report: Report) -> Shown:
    """A report that was written."""
    return Shown(report.subject, report.cadence, report.first_day, report.last_day, report.time_zone, report.figures)
