"""REST API of analytics: one question by any dimensions, answered as JSON, as CSV and with the columns of FOCUS."""

from collections.abc import Iterator
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.entitlements import COST_TRACKING, EXPORTS, NotInTier, require
from accounts.models import Organization
from accounts.principal import Principal
from core.jsonio import dumps, wire_form
from core.refusals import refuses
from metering import ranges
from metering.analytics import asking, shapes
from metering.analytics.answering import Answer, answer
from metering.analytics.asking import Question
from metering.analytics.exports import FOCUS_BY, csv_of, focus_of
from metering.detail import DETAILED, require_detail
from metering.errors import TooManyGroups
from metering.sums import Span
from metering.viewsets.sums import SumsView


class _AnalyticsView(SumsView):
    """Base: the question that the query asks."""

    def question(self, request: Request, shape: type[ranges.RangeSerializer]) -> tuple[Question, dict[str, Any]]:
        """The question, and whatever else the query says. Raises NotInTier."""
        organization = Organization.objects.get(pk=cast(Principal, request.auth).organization_id)
        context = {"zone": ZoneInfo(organization.time_zone), "organization": organization}
        query = shape(data=request.query_params.dict(), context=context)
        query.is_valid(raise_exception=True)
        asked = dict(query.validated_data)
        parts = asked.pop("parts", {})
        require_detail(organization.id, [*(each.slug for each in parts.get("by", ())), *asked["only"]])
        is_exact = "from" in request.query_params
        span = self._within_history(asked.pop("span"), organization.id, is_exact=is_exact)
        return Question(organization, span, only=asked.pop("only"), **parts), asked

    def keeps_before(self, question: Question) -> bool:
        """Whether the tier's history reaches over the period before."""
        span: Span = question.span
        kept = self.kept(question.organization.id, span.zone)
        return kept is None or span.before().start >= ranges.span_of_day(kept, span.zone).start

    def answer_of(self, request: Request, shape: type[ranges.RangeSerializer]) -> tuple[Answer, dict[str, Any]]:
        """Asked and answered."""
        question, asked = self.question(request, shape)
        return answer(question, compare=asked.pop("compare", False) and self.keeps_before(question)), asked


class AnalyticsView(_AnalyticsView):
    """Usage by anything."""

    @extend_schema(
        operation_id="metering_analytics",
        parameters=[asking.AnalyticsSerializer],
        responses=shapes.AnalyticsAnswerSerializer,
    )
    @refuses(NotInTier, TooManyGroups)
    def get(self, request: Request) -> Response:
        """Sums by model, kind, name, member, team, department, key, prompt, feature or any tag, and over time.

        The last 30 days unless asked otherwise. Sums by tag are of days of UTC. By model and kind on every tier; by
        person, key and tag where costs are tracked in detail; by team where teams have dashboards.
        """
        found, asked = self.answer_of(request, asking.AnalyticsSerializer)
        return Response(shapes.document_of(found, limit=asked["limit"]))


class AnalyticsCsvView(_AnalyticsView):
    """The same as a file."""

    @extend_schema(
        operation_id="metering_analytics_csv",
        parameters=[asking.AnalyticsExportSerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    @refuses(NotInTier, TooManyGroups)
    def get(self, request: Request) -> StreamingHttpResponse:
        """Every row with every digit, as CSV."""
        require(cast(Principal, request.auth).organization_id, EXPORTS, "csv")
        found, _asked = self.answer_of(request, asking.AnalyticsExportSerializer)
        return csv_file(csv_of(found), f"usage-{_days(found.span)}")


class AnalyticsJsonView(_AnalyticsView):
    """The same as a file."""

    @extend_schema(
        operation_id="metering_analytics_json",
        parameters=[asking.AnalyticsExportSerializer],
        responses=shapes.AnalyticsAnswerSerializer,
    )
    @refuses(NotInTier, TooManyGroups)
    def get(self, request: Request) -> HttpResponse:
        """Every row, as a JSON file to keep."""
        require(cast(Principal, request.auth).organization_id, EXPORTS, "json")
        found, _asked = self.answer_of(request, asking.AnalyticsExportSerializer)
        return json_file(found)


class AnalyticsFocusView(_AnalyticsView):
    """The same in the format that tools of FinOps read."""

    @extend_schema(
        operation_id="metering_analytics_focus",
        parameters=[asking.TeamRangeSerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    @refuses(NotInTier, TooManyGroups)
    def get(self, request: Request) -> StreamingHttpResponse:
        """A row for each day, model, kind, name, team and key, with the columns of FOCUS 1.2, as CSV.

        ``BilledCost`` of all rows adds up to the charge of the range. Columns of our own begin with ``x_``.
        """
        organization_id = cast(Principal, request.auth).organization_id
        require(organization_id, EXPORTS, "csv")
        require(organization_id, COST_TRACKING, DETAILED)
        question, _asked = self.question(request, asking.TeamRangeSerializer)
        return focus_file(question)


def focus_file(question: Question) -> StreamingHttpResponse:
    """The usage of a question's range, whatever it is grouped by, with the columns of FOCUS."""
    by_day = Question(question.organization, question.span, by=FOCUS_BY, only=question.only, granularity="day")
    found = answer(by_day)
    return csv_file(focus_of(found), f"focus-{_days(found.span)}")


def json_file(found: Answer) -> HttpResponse:
    """Every row as a JSON file."""
    content = dumps(wire_form(shapes.document_of(found)))
    file = HttpResponse(content, content_type="application/json")
    file["Content-Disposition"] = f'attachment; filename="usage-{_days(found.span)}.json"'
    return file


def csv_file(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    """Lines as a file to keep."""
    file = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    file["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return file


def _days(span: Span) -> str:
    first, after = (moment.astimezone(span.zone) for moment in (span.start, span.end))
    return f"{first:%Y-%m-%d}-{after:%Y-%m-%d}"
