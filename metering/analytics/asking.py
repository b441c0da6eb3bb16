"""Questions of analytics: what the query says, checked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers

from accounts.models import Organization
from metering import ranges
from metering.analytics.dimensions import SLUGS, Dimension, dimension_of, within
from metering.sums import GRANULARITIES, HOUR, Span

MOST_DIMENSIONS = 4
MOST_ROWS = 10_000
_LONGEST_TAG = 240


@dataclass(frozen=True, slots=True)
class Question:
    """Usage of ``span`` that fits ``only``, by ``by`` and, with a granularity, over time.

    ``tag`` is the key that the sums by tag are read for, empty when they are not; then the span is days of UTC.
    """

    organization: Organization
    span: Span
    by: tuple[Dimension, ...] = ()
    only: dict[str, Any] | None = None
    tag: str = ""
    granularity: str | None = None


class TeamRangeSerializer(ranges.RangeSerializer):
    """Which usage to sum, also of a team alone. Days are the organization's own, both included."""

    team_id = serializers.UUIDField(required=False, help_text="A team; a department with the teams in it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With the team among what the usage must be of. The organization is the context's."""
        team_id = attrs.pop("team_id", None)
        found = super().validate(attrs)
        if team_id is not None:
            found["only"]["team_id__in"] = self._teams(team_id)
        return found

    def _teams(self, team_id: UUID) -> list[UUID]:
        teams = within(self.context["organization"], team_id)
        if not teams:
            raise serializers.ValidationError({"team_id": "There is no such team."}, code="not_found")
        return teams


class AnalyticsExportSerializer(TeamRangeSerializer):
    """What to sum, by what, over which range: ``[from, to)``; days are the organization's own and both included."""

    group_by = serializers.CharField(
        required=False,
        max_length=200,
        default="",
        help_text=f"Up to {MOST_DIMENSIONS} of {', '.join(SLUGS)}, separated by commas; one tag at most.",
    )
    granularity = serializers.ChoiceField(
        choices=GRANULARITIES, required=False, help_text="A row for each hour, day or month that something was used in."
    )
    tag = serializers.CharField(
        required=False, max_length=_LONGEST_TAG, help_text="Only what carries this tag, as key:value."
    )
    compare = serializers.BooleanField(
        default=False, help_text="With each row, the same of the period before, as long as this one."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With the ``parts`` of a question beside ``span`` and ``only``."""
        by, compare = _dimensions(attrs.pop("group_by")), attrs.pop("compare")
        granularity, tag = attrs.pop("granularity", None), attrs.pop("tag", None)
        key, only = _tag_filter(by, tag)
        if key:
            _check_days(attrs, granularity)
        found = super().validate(attrs)
        if key:
            found["span"] = _days_of_utc(found["span"])
        parts = {"by": by, "tag": key, "granularity": granularity}
        return {"span": found["span"], "only": {**found["only"], **only}, "parts": parts, "compare": compare}


class AnalyticsSerializer(AnalyticsExportSerializer):
    """The same, with the most rows that an answer may have."""

    limit = serializers.IntegerField(
        default=1_000, min_value=1, max_value=MOST_ROWS, help_text="The most rows of an answer, dearest first."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With ``limit`` beside the rest."""
        limit = attrs.pop("limit")
        return {**super().validate(attrs), "limit": limit}


def _dimensions(text: str) -> tuple[Dimension, ...]:
    slugs = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    found = [(slug, dimension_of(slug)) for slug in slugs]
    unknown = [slug for slug, dimension in found if dimension is None]
    if unknown:
        words = f"{unknown[0][:60]!r} is none of {', '.join(SLUGS)}."
        raise serializers.ValidationError({"group_by": words}, code="unknown_dimension")
    by = tuple(dimension for _slug, dimension in found if dimension is not None)
    if len(by) > MOST_DIMENSIONS or sum(bool(each.tag_key) for each in by) > 1:
        words = f"Group by up to {MOST_DIMENSIONS} dimensions, one tag among them."
        raise serializers.ValidationError({"group_by": words}, code="too_many_dimensions")
    return by


def _tag_filter(by: tuple[Dimension, ...], tag: str | None) -> tuple[str, dict[str, Any]]:
    """The key of the tag that the question is about, and the value that is asked for."""
    key = next((each.tag_key for each in by if each.tag_key), "")
    if tag is None:
        return key, {}
    wanted, colon, value = tag.partition(":")
    if not colon or not wanted:
        raise serializers.ValidationError({"tag": "Give the tag as key:value."}, code="format")
    if key and wanted != key:
        words = "Usage is summed by one tag at a time: ask by the tag that is filtered, or by none."
        raise serializers.ValidationError({"tag": words}, code="two_tags")
    return wanted, {"tag_value": value}


def _check_days(attrs: dict[str, Any], granularity: str | None) -> None:
    named = [name for name in ("from", "to") if isinstance(attrs.get(name), datetime)]
    if named:
        raise serializers.ValidationError({named[0]: "Sums by tag are of whole days: give days."}, code="days_only")
    if granularity == "hour":
        raise serializers.ValidationError({"granularity": "Sums by tag are of days."}, code="days_only")


def _days_of_utc(span: Span) -> Span:
    """The same days, of UTC: sums by tag have no other."""
    first = span.start.astimezone(span.zone).date()
    last = (span.end - HOUR).astimezone(span.zone).date()
    zone = ranges.UTC_ZONE
    return Span(ranges.span_of_day(first, zone).start, ranges.span_of_day(last, zone).end, zone)
