"""JSON shapes of analytics."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from core.times import wire_time
from metering.analytics.answering import Answer, Line
from metering.serializers import PeriodSerializer, SumsSerializer


class AnalyticsRowSerializer(SumsSerializer):
    """Sums of one combination of what was grouped by."""

    start = serializers.DateTimeField(allow_null=True, help_text="Of its hour, day or month, when asked over time.")
    group = serializers.DictField(
        help_text="The value of each dimension, by its name in group_by; ids of what has one."
    )
    names = serializers.DictField(help_text="What those are called, where they are ids or kinds.")
    previous = SumsSerializer(allow_null=True, help_text="The period before, when compared.")


class AnalyticsAnswerSerializer(PeriodSerializer):
    """Usage by what was asked for, dearest first."""

    group_by = serializers.ListField(child=serializers.CharField())
    granularity = serializers.CharField(allow_null=True)
    total = SumsSerializer(help_text="All rows together, also those beyond the limit.")
    previous = SumsSerializer(
        allow_null=True,
        help_text="The same length of time before, when compared; null beyond the history that your tier keeps.",
    )
    row_count = serializers.IntegerField(help_text="How many there are; data has the first of them.")
    data = AnalyticsRowSerializer(many=True)  # type: ignore[assignment]


def document_of(answer: Answer, limit: int | None = None) -> dict[str, Any]:
    """An answer as it leaves: plain values, the first ``limit`` rows."""
    return {
        "from": wire_time(answer.span.start),
        "to": wire_time(answer.span.end),
        "time_zone": answer.span.zone.key,
        "currency": "USD",
        "group_by": [each.slug for each in answer.question.by],
        "granularity": answer.question.granularity,
        "total": SumsSerializer(answer.total).data,
        "previous": None if answer.previous is None else SumsSerializer(answer.previous).data,
        "row_count": len(answer.lines),
        "data": [_row(answer, line) for line in answer.lines[:limit]],
    }


def _row(answer: Answer, line: Line) -> dict[str, Any]:
    return {
        "start": None if line.start is None else wire_time(line.start),
        "group": {slug: str(value) if isinstance(value, UUID) else value for slug, value in line.group.items()},
        "names": {slug: answer.label(slug, value) for slug, value in line.group.items() if answer.labels.get(slug)},
        **SumsSerializer(line.now).data,
        "previous": None if line.before is None else SumsSerializer(line.before).data,
    }
