"""Usage as its page shows it: who or what used how much, over time and against the days before."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Sum
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from accounts.models import ApiKey, Membership, Organization
from core.charts import COUNT, MONEY, Chart, ChartRow
from core.money import ZERO
from metering.forms import KIND_LABELS
from metering.models import Kind, UsageTagDay
from metering.ranges import span_of_day
from metering.sums import SUMS, TAG_SUMS, Row, Span, tag_sums, usage_matrix, usage_sums

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
    """What the chart counts."""

    slug: str
    label: str
    unit: str
    of: Callable[[Mapping[str, Any]], Any]


def metrics() -> list[Metric]:
    """In the order in which they are offered."""
    return [
        Metric("spend", _("Spend"), MONEY, lambda row: row["charge"]),
        Metric("calls", _("Calls"), COUNT, lambda row: row["events"]),
        Metric("tokens", _("Tokens"), COUNT, _tokens),
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
        count = self.now.get("latency_count", 0)
        return round(self.now["latency_ms"] / count) if count else None

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
    organization: Organization, days: Days, *, by: str, metric: Metric, tag_key: str = "", compare: bool = True
) -> Analysis:
    """Usage of ``days`` by ``model``, ``kind``, ``member``, ``key`` or ``tag`` (of ``tag_key``, in days of UTC).

    Everything is read from the sums; the number of queries does not depend on how much was used.
    """
    reader: Any = _Tags(organization.id, tag_key) if by == "tag" else _Dimension(organization, by)
    now = reader.sums(days)
    before = reader.sums(days.before()) if compare else None
    starts, cells = reader.cells(days)
    labels = reader.labels({*now, *(before or {})})
    groups = _groups(now, before, labels, metric)
    total = Group("", "", _sum(now.values()), _sum(before.values()) if before is not None else None, Decimal(1))
    places = _Places(reader.granularity(days), reader.zone(days))
    return Analysis(total, groups, _chart(metric, groups, starts, cells, places))


def tag_keys(organization_id: UUID, days: Days) -> list[str]:
    """The keys of the tags that were used in these days."""
    rows = UsageTagDay.objects.filter(organization_id=organization_id, day__gte=days.first, day__lte=days.last)
    return list(rows.order_by("tag_key").values_list("tag_key", flat=True).distinct())


def _tokens(row: Mapping[str, Any]) -> int:
    return row["prompt_tokens"] + row["completion_tokens"]


class _Dimension:
    """Groups by a dimension of the hourly and daily sums."""

    _COLUMNS: Mapping[str, Sequence[str]] = {
        "model": ("model", "name", "kind"),
        "kind": ("kind",),
        "member": ("member_id",),
        "key": ("api_key_id",),
    }

    def __init__(self, organization: Organization, by: str) -> None:
        self.organization_id, self.by, self.columns = organization.id, by, self._COLUMNS[by]
        # members belong to the live organization, also when they use its test twin
        self.members_of = organization.live_organization_id or organization.id

    def granularity(self, days: Days) -> str:
        return days.granularity

    def zone(self, days: Days) -> ZoneInfo:
        return days.zone

    def sums(self, days: Days) -> dict[str, Row]:
        return _merge((self._key(row), row) for row in usage_sums(self.organization_id, days.span, by=self.columns))

    def cells(self, days: Days) -> tuple[list[datetime], dict[tuple[datetime, str], Row]]:
        starts, rows = usage_matrix(self.organization_id, days.span, days.granularity, by=self.columns)
        found: dict[tuple[datetime, str], Row] = {}
        for row in rows:
            _add(found, (row["start"], self._key(row)), row, SUMS)
        return starts, found

    def labels(self, keys: Iterable[str]) -> dict[str, str]:
        ids = [UUID(key) for key in keys if key] if self.by in ("member", "key") else []
        match self.by:
            case "member":
                members = Membership.objects.filter(organization_id=self.members_of, id__in=ids)
                found = {str(key): email for key, email in members.values_list("id", "user__email")}
                return defaultdict(lambda: _("Somebody who has left"), {**found, "": _("Keys without a member")})
            case "key":
                own = ApiKey.objects.filter(organization_id=self.organization_id, id__in=ids)
                found = {str(key): name for key, name in own.values_list("id", "name")}
                return defaultdict(lambda: _("A deleted key"), {**found, "": _("Without a key")})
            case "kind":
                return {key: str(KIND_LABELS[Kind(key)]) for key in keys}
        return {key: key for key in keys}

    def _key(self, row: Row) -> str:
        return str(next((row[name] for name in self.columns if row[name]), ""))


class _Tags:
    """Groups by the values of one tag, in days of UTC."""

    def __init__(self, organization_id: UUID, tag_key: str) -> None:
        self.organization_id, self.tag_key = organization_id, tag_key

    def sums(self, days: Days) -> dict[str, Row]:
        rows = tag_sums(self.organization_id, days.first, days.last, key=self.tag_key)
        return _merge((row["tag_value"], {**dict.fromkeys(SUMS, 0), **row}) for row in rows)

    def cells(self, days: Days) -> tuple[list[datetime], dict[tuple[datetime, str], Row]]:
        each = (self._start(days, days.first + timedelta(days=place)) for place in range(days.count))
        starts = list(dict.fromkeys(each))
        rows = UsageTagDay.objects.filter(
            organization_id=self.organization_id, day__gte=days.first, day__lte=days.last, tag_key=self.tag_key
        )
        found: dict[tuple[datetime, str], Row] = {}
        totals = {f"of_{name}": Sum(name) for name in TAG_SUMS}
        row: Any
        for row in rows.values("day", "tag_value").annotate(**totals):
            sums = {name: row[f"of_{name}"] for name in TAG_SUMS}
            _add(found, (self._start(days, row["day"]), row["tag_value"]), sums, TAG_SUMS)
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


def _merge(rows: Iterable[tuple[str, Row]]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for key, row in rows:
        _add(found, key, row, SUMS)
    return found


def _add(found: dict[Any, Row], key: Any, row: Row, names: Iterable[str]) -> None:
    sums = found.setdefault(key, dict.fromkeys(names, 0))
    for name in names:
        sums[name] += row[name]


def _sum(rows: Iterable[Row]) -> Row:
    total = dict.fromkeys(SUMS, 0)
    for row in rows:
        for name in SUMS:
            total[name] += row[name]
    return total


def _groups(
    now: Mapping[str, Row], before: Mapping[str, Row] | None, labels: Mapping[str, str], metric: Metric
) -> list[Group]:
    whole = sum((Decimal(metric.of(row)) for row in now.values()), ZERO)
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
    cells: Mapping[tuple[datetime, str], Row],
    places: _Places,
) -> Chart:
    leading = [group.key for group in groups[:LINES]]
    others = len(groups) > LINES
    values: dict[datetime, list[Any]] = {start: [ZERO] * (len(leading) + others) for start in starts}
    place = {key: index for index, key in enumerate(leading)}
    for (start, key), row in cells.items():
        if start in values:
            values[start][place.get(key, len(leading))] += metric.of(row)
    names = [group.label for group in groups[:LINES]] + ([_("All others")] if others else [])
    return Chart(
        label=_("%(metric)s over time") % {"metric": metric.label},
        axis=places.axis,
        names=names,
        rows=[ChartRow(places.label(start), values[start]) for start in starts] if groups else [],
        unit=metric.unit,
    )
