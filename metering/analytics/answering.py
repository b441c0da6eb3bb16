"""Answers of analytics, added up from the sums: their cost grows with the range and not with history."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet, Sum

from metering.analytics.asking import Question
from metering.analytics.dimensions import departments_of, labels_of
from metering.models import UsageTagDay, UsageTagTotal
from metering.ranges import UTC_ZONE
from metering.sums import SUMS, Row, Span, bounded, bucket_starts, in_day_buckets, usage_matrix, usage_sums

Key = tuple[Any, ...]
MOST_GROUPS = 50_000  # rows of one answer, which are kept in memory


@dataclass(frozen=True, slots=True)
class Line:
    """One row: where it is in time, what it is of, its sums, and those of the period before."""

    start: datetime | None
    group: dict[str, Any]
    now: Row
    before: Row | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows asked for, dearest first (within each bucket of time), and what all of them come to."""

    question: Question
    lines: list[Line]
    total: Row
    previous: Row | None
    labels: Mapping[str, Mapping[Any, str]]

    @property
    def span(self) -> Span:
        """Of the figures."""
        return self.question.span

    def label(self, slug: str, value: Any) -> str:
        """What a value of a dimension is called."""
        return self.labels.get(slug, {}).get(value) or ("" if value is None else str(value))


def answer(question: Question, *, compare: bool = False) -> Answer:
    """Read the sums. The number of queries does not depend on how much was used. Raises TooManyGroups."""
    now = _rows(question)
    before = _rows(replace(question, span=question.span.before(), granularity=None)) if compare else None
    lines = [_line(question, key, row, before) for key, row in now.items()]
    if before is not None and question.granularity is None:
        nothing = dict.fromkeys(SUMS, 0)
        lines += [_line(question, key, nothing, before) for key in before if key not in now]
    lines.sort(key=lambda line: (line.start or question.span.start, -line.now["charge"], -line.now["events"]))
    slugs = [each.slug for each in question.by]
    labels = {slug: labels_of(question.organization, slug, {line.group[slug] for line in lines}) for slug in slugs}
    previous = total_of(before.values()) if before is not None else None
    return Answer(question, lines, total_of(now.values()), previous, labels)


def total_of(rows: Iterable[Row]) -> Row:
    """All rows together."""
    total: Row = dict.fromkeys(SUMS, 0)
    for row in rows:
        for name in SUMS:
            total[name] += row[name]
    return total


def _line(question: Question, key: Key, row: Row, before: Mapping[Key, Row] | None) -> Line:
    start = key[0] if question.granularity else None
    values = key[1:] if question.granularity else key
    group = {each.slug: value for each, value in zip(question.by, values, strict=True)}
    if before is None or question.granularity is not None:
        return Line(start, group, row)
    return Line(start, group, row, before.get(key, dict.fromkeys(SUMS, 0)))


def _rows(question: Question) -> dict[Key, Row]:
    """The sums by what the question names, in its order; the bucket of time first."""
    found: dict[Key, Row] = {}
    values = _values(question)
    for row in (_of_tags if question.tag else _of_all)(question):
        key = tuple(value(row) for value in values)
        if key not in found:
            found[key] = {name: row[name] for name in SUMS}
        else:
            for name in SUMS:
                found[key][name] += row[name]
    return found


def _values(question: Question) -> list[Callable[[Row], Any]]:
    departments = departments_of(question.organization) if any(d.slug == "department" for d in question.by) else {}

    def reads(slug: str, column: str) -> Callable[[Row], Any]:
        if slug == "department":
            return lambda row: departments.get(row[column])
        return lambda row: row[column]

    buckets: list[Callable[[Row], Any]] = [lambda row: row["start"]] if question.granularity else []
    return buckets + [reads(each.slug, each.column) for each in question.by]


def _columns(question: Question) -> list[str]:
    return list(dict.fromkeys(each.column for each in question.by))


def _of_all(question: Question) -> list[Row]:
    asked: dict[str, Any] = {"by": _columns(question), "only": question.only, "most": MOST_GROUPS}
    if question.granularity is None:
        return usage_sums(question.organization.id, question.span, **asked)
    return usage_matrix(question.organization.id, question.span, question.granularity, **asked)[1]


def _of_tags(question: Question) -> list[Row]:
    """The same from the sums by tag, which are of days of UTC."""
    span, columns = question.span, _columns(question)
    is_by_tag_alone = not question.only and set(columns) <= {"tag_value"}
    rows: QuerySet[Any] = (UsageTagTotal if is_by_tag_alone else UsageTagDay).objects.filter(
        organization_id=question.organization.id,
        tag_key=question.tag,
        day__gte=span.start.date(),
        day__lt=span.end.date(),
        **(question.only or {}),
    )
    if question.granularity is not None:
        bucket_starts(span, question.granularity)  # refuses too many
        rows = in_day_buckets(rows, question.granularity, UTC_ZONE)
        columns = ["start", *columns]
    totals = {f"sum_{name}": Sum(F(name)) for name in SUMS}
    found = bounded(rows.values(*(columns or ["organization_id"])).order_by().annotate(**totals), MOST_GROUPS)
    return [{key.removeprefix("sum_"): value for key, value in row.items()} for row in found]
