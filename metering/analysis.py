"""Usage as its page shows it: who or what used how much, over time and against the days before."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Case, F, IntegerField, Sum, When
from django.db.models.lookups import Exact, IsNull
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from accounts.models import Organization
from core.charts import COUNT, MONEY, Chart, ChartRow
from core.money import ZERO
from metering.analytics.dimensions import labels_of
from metering.models import UsageTagDay, UsageTagTotal
from metering.ranges import span_of_day
from metering.sums import SUMS, Row, Span, label_of_use, usage_matrix, usage_sums

Cells = dict[tuple[datetime, int], Row]  # by column of the chart and place of the group
LINES = 5  # groups with a colour of their own; the rest share one
_HOURLY_UP_TO = 2  # days
_DAILY_UP_TO = 92


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of ``zone``, both included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def count(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1

    @property
    def span(self) -> Span:
        """The same as whole hours of UTC."""
        return Span(span_of_day(self.first, self.zone).start, span_of_day(self.last, self.zone).end, self.zone)

    def before(self) -> "Days":
        """As many days just before."""
        length = timedelta(days=self.count)
        return Days(self.first - length, self.last - length, self.zone)

    @property
    def granularity(self) -> str:
        """What the chart's columns stand for."""
        if self.count <= _HOURLY_UP_TO:
            return "hour"
        return "day" if self.count <= _DAILY_UP_TO else "month"


@dataclass(frozen=True, slots=True)
class Metric:
    """What the chart counts. A mean (milliseconds) is of all that is timed, and no sum of its parts."""

    slug: str
    label: str
    unit: str
    of: Callable[[Mapping[str, Any]], Any]
    columns: Sequence[str]  # the sums that it is made of
    is_mean: bool = False


def metrics() -> list[Metric]:
    """In the order in which they are offered."""
    return [
        Metric("spend", _("Spend"), MONEY, lambda row: row["charge"], ["charge"]),
        Metric("calls", _("Calls"), COUNT, lambda row: row["events"], ["events"]),
        Metric("tokens", _("Tokens"), COUNT, _tokens, ["prompt_tokens", "completion_tokens"]),
        Metric("errors", _("Errors"), COUNT, lambda row: row["errors"], ["errors"]),
        Metric("latency", _("Latency"), COUNT, _latency, ["latency_ms", "latency_count"], is_mean=True),
    ]


@dataclass(slots=True)
class Group:
    """One line of the breakdown. ``key`` names it in a link; ``before`` is None where nothing is compared."""

    key: str
    label: str
    now: Row = field(default_factory=dict)
    before: Row | None = None
    share: Decimal = ZERO  # of the metric's sum, 0 to 1

    @property
    def tokens(self) -> int:
        """In and out."""
        return _tokens(self.now)

    @property
    def latency(self) -> int | None:
        """Mean milliseconds of what was timed."""
        return _latency(self.now) if self.now.get("latency_count") else None

    @property
    def change(self) -> int | None:
        """Growth of the charge in whole per cent; None where there was none before."""
        return change_of(self.now, self.before)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The answer: totals, their change, a chart, and a line for each group, the largest first."""

    total: Group
    groups: list[Group]
    chart: Chart


def change_of(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> int | None:
    """Growth of the charge in whole per cent; None without a past."""
    if not before or not before["charge"]:
        return None
    return round((now["charge"] / before["charge"] - 1) * 100)


def analyse(
    organization: Organization,
    days: Days,
    *,
    by: str,
    metric: Metric,
    tag_key: str = "",
    compare: bool = True,
    only: Mapping[str, Any] | None = None,
) -> Analysis:
    """Usage of ``days`` that fits ``only`` by ``model``, ``kind``, ``member``, ``team``, ``key`` or ``tag``.

    With ``tag`` it is by the values of ``tag_key``, in days of UTC. Everything is read from the sums; the number of
    queries does not depend on how much was used.
    """
    reader: Any = _Tags(organization.id, tag_key, only) if by == "tag" else _Dimension(organization, by, only)
    now = reader.sums(days)
    before = reader.sums(days.before()) if compare else None
    labels = reader.labels({*now, *(before or {})})
    groups = _groups(now, before, labels, metric)
    total = Group("", "", _sum(now.values()), _sum(before.values()) if before is not None else None, Decimal(1))
    starts, cells = reader.cells(days, metric.columns, [group.key for group in groups[:LINES]])
    places = _Places(reader.granularity(days), reader.zone(days))
    return Analysis(total, groups, _chart(metric, groups, starts, cells, places))


def tag_keys(organization_id: UUID, days: Days) -> list[str]:
    """The keys of the tags that were used in these days."""
    rows = UsageTagTotal.objects.filter(organization_id=organization_id, day__gte=days.first, day__lte=days.last)
    return list(rows.order_by("tag_key").values_list("tag_key", flat=True).distinct())


def _tokens(row: Mapping[str, Any]) -> int:
    return row["prompt_tokens"] + row["completion_tokens"]


def _latency(row: Mapping[str, Any]) -> int:
    return round(Decimal(row["latency_ms"]) / row["latency_count"]) if row["latency_count"] else 0


def _place(column: Any, leading: Sequence[Any]) -> Case:
    """Which of the ``leading`` values a row has, counted from 0; their number for any other."""
    cases = (
        When(Exact(column, value) if value is not None else IsNull(column, True), then=place)
        for place, value in enumerate(leading)
    )
    return Case(*cases, default=len(leading), output_field=IntegerField())


class _Dimension:
    """Groups by a dimension of the hourly and daily sums."""

    _COLUMNS: Mapping[str, str] = {"kind": "kind", "member": "member_id", "team": "team_id", "key": "api_key_id"}

    def __init__(self, organization: Organization, by: str, only: Mapping[str, Any] | None) -> None:
        self.organization, self.by, self.only = organization, by, only
        self.column = label_of_use() if by == "model" else F(self._COLUMNS[by])

    def granularity(self, days: Days) -> str:
        return days.granularity

    def zone(self, days: Days) -> ZoneInfo:
        return days.zone

    def sums(self, days: Days) -> dict[str, Row]:
        rows = usage_sums(self.organization.id, days.span, by={"group": self.column}, only=self.only)
        return {str(row["group"] or ""): row for row in rows}

    def cells(self, days: Days, sums: Sequence[str], leading: Sequence[str]) -> tuple[list[datetime], Cells]:
        place = _place(self.column, [_value(self.by, key) for key in leading])
        asked: Any = {"by": {"place": place}, "only": self.only, "sums": sums}
        starts, rows = usage_matrix(self.organization.id, days.span, days.granularity, **asked)
        return starts, {(row["start"], row["place"]): row for row in rows}

    def labels(self, keys: Iterable[str]) -> dict[str, str]:
        if self.by not in ("member", "team", "key", "kind"):
            return {key: key for key in keys}
        values = {key: _value(self.by, key) for key in keys}
        found = labels_of(self.organization, self.by, values.values())
        return {key: found.get(value, key) for key, value in values.items()}


def _value(by: str, key: str) -> Any:
    """What a key in a link stands for."""
    return key if by in ("model", "kind") else UUID(key) if key else None


class _Tags:
    """Groups by the values of one tag, in days of UTC."""

    def __init__(self, organization_id: UUID, tag_key: str, only: Mapping[str, Any] | None) -> None:
        self.wanted = {"organization_id": organization_id, "tag_key": tag_key, **(only or {})}
        self.model: Any = UsageTagDay if only else UsageTagTotal

    def _rows(self, days: Days, sums: Sequence[str], *by: str, **expressions: Any) -> Iterable[Row]:
        rows = self.model.objects.filter(day__gte=days.first, day__lte=days.last, **self.wanted)
        totals = {f"of_{name}": Sum(name) for name in sums}
        return (
            {key.removeprefix("of_"): value for key, value in row.items()}
            for row in rows.values(*by, **expressions).order_by().annotate(**totals)
        )

    def sums(self, days: Days) -> dict[str, Row]:
        return {row["tag_value"]: row for row in self._rows(days, SUMS, "tag_value")}

    def cells(self, days: Days, sums: Sequence[str], leading: Sequence[str]) -> tuple[list[datetime], Cells]:
        each = (self._start(days, days.first + timedelta(days=place)) for place in range(days.count))
        starts = list(dict.fromkeys(each))
        found: Cells = {}
        for row in self._rows(days, sums, "day", place=_place(F("tag_value"), leading)):
            cell = found.setdefault((self._start(days, row["day"]), row["place"]), dict.fromkeys(sums, 0))
            for name in sums:
                cell[name] += row[name]
        return starts, found

    def labels(self, keys: Iterable[str]) -> dict[str, str]:
        return {key: key for key in keys}

    def granularity(self, days: Days) -> str:
        return "month" if days.granularity == "month" else "day"

    def zone(self, days: Days) -> ZoneInfo:
        return ZoneInfo("UTC")

    def _start(self, days: Days, day: date) -> datetime:
        if self.granularity(days) == "month":
            day = day.replace(day=1)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _sum(rows: Iterable[Row]) -> Row:
    total = dict.fromkeys(SUMS, 0)
    for row in rows:
        for name in SUMS:
            total[name] += row[name]
    return total


def _groups(
    now: Mapping[str, Row], before: Mapping[str, Row] | None, labels: Mapping[str, str], metric: Metric
) -> list[Group]:
    whole = ZERO if metric.is_mean else sum((Decimal(metric.of(row)) for row in now.values()), ZERO)
    nothing = dict.fromkeys(SUMS, 0)
    groups = [
        Group(
            key,
            labels[key],
            row,
            None if before is None else before.get(key, nothing),
            Decimal(metric.of(row)) / whole if whole else ZERO,
        )
        for key, row in now.items()
    ]
    return sorted(groups, key=lambda group: (-metric.of(group.now), -group.now["events"], group.label))


@dataclass(frozen=True, slots=True)
class _Places:
    """How the places on the time axis are called."""

    granularity: str
    zone: ZoneInfo

    @property
    def axis(self) -> str:
        return {"hour": _("Hour"), "day": _("Day"), "month": _("Month")}[self.granularity]

    def label(self, start: datetime) -> str:
        form = {"hour": "M j, H:i", "day": "M j", "month": "M Y"}[self.granularity]
        return date_format(start.astimezone(self.zone), form)


def _chart(
    metric: Metric,
    groups: Sequence[Group],
    starts: Sequence[datetime],
    cells: Cells,
    places: _Places,
) -> Chart:
    names = [group.label for group in groups[:LINES]] + ([_("All others")] if len(groups) > LINES else [])
    values: dict[datetime, list[Any]] = {
        start: [_drawn(metric, cells.get((start, place))) for place in range(len(names))] for start in starts
    }
    return Chart(
        label=_("%(metric)s over time") % {"metric": metric.label},
        axis=places.axis,
        names=names,
        rows=[ChartRow(places.label(start), values[start]) for start in starts] if groups else [],
        unit=metric.unit,
        kind="line" if metric.is_mean else "bar",
    )


def _drawn(metric: Metric, row: Row | None) -> Any:
    """A place of the chart: where nothing was timed there is no mean."""
    if metric.is_mean and not (row and row["latency_count"]):
        return None
    return metric.of(row) if row else ZERO
