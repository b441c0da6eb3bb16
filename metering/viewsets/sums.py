"""REST API of the meter's sums: parse, read the rollups, answer."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.entitlements import COST_TRACKING, NotInTier, require
from accounts.models import Membership, Organization
from accounts.principal import Principal
from accounts.scopes import Scope
from core.refusals import refuses
from metering import ranges
from metering import serializers as shapes
from metering.detail import DETAILED, require_detail
from metering.sums import Row, Span, tag_sums, usage_over_time, usage_sums, usage_total
from tiers.permits import first_day_kept, refuse_history
from tiers.querysets import terms_for


class RangeQuestion:
    """A view that asks about a range: whose usage, over which days of its history, of what."""

    def asked(
        self,
        request: Request,
        shape: type[ranges.RangeSerializer] = ranges.RangeSerializer,
        given: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The organization and what ``given`` (else the query) says: ``span``, ``only`` and whatever ``shape`` adds."""
        organization_id = cast(Principal, request.auth).organization_id
        zone = ZoneInfo(Organization.objects.values_list("time_zone", flat=True).get(pk=organization_id))
        given = request.query_params.dict() if given is None else given
        query = shape(data=given, context={"zone": zone})
        query.is_valid(raise_exception=True)
        asked = {"organization_id": organization_id, **query.validated_data}
        require_detail(organization_id, asked.get("only") or ())
        asked["span"] = self._within_history(asked["span"], organization_id, is_exact="from" in given)
        return asked

    def kept(self, organization_id: UUID, zone: ZoneInfo) -> date | None:
        """The first day of ``zone`` that the tier's history reaches back to; None for all there is."""
        return first_day_kept(organization_id, timezone.now().astimezone(zone).date())

    def _within_history(self, span: Span, organization_id: UUID, *, is_exact: bool) -> Span:
        """The span, from the first day that is kept on unless a day is named. Raises NotInTier."""
        kept = self.kept(organization_id, span.zone)
        first = None if kept is None else ranges.span_of_day(kept, span.zone).start
        if first is None or span.start >= first:
            return span
        if is_exact or span.end <= first:
            raise refuse_history(organization_id)
        return replace(span, start=first)


class SumsView(RangeQuestion, APIView):
    """Base of the sums."""

    scope = Scope.USAGE_READ


def _dearest_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row["charge"], -row["events"], str(row)))


class SummaryView(SumsView):
    """All usage of a period."""

    @extend_schema(
        operation_id="metering_summary", parameters=[ranges.RangeSerializer], responses=shapes.SummarySerializer
    )
    @refuses(NotInTier)
    def get(self, request: Request) -> Response:
        """Totals, those of the period before, and totals by kind. The last 30 days unless asked otherwise."""
        asked = self.asked(request)
        span: Span = asked["span"]
        before = span.before()
        kept = self.kept(asked["organization_id"], span.zone)
        is_kept = kept is None or before.start >= ranges.span_of_day(kept, span.zone).start
        answer = {
            "span": span,
            "total": usage_total(**asked),
            "previous": usage_total(**{**asked, "span": before}) if is_kept else None,
            "by_kind": _dearest_first(usage_sums(**asked, by=["kind"])),
        }
        return Response(shapes.SummarySerializer(answer).data)


class ByModelView(SumsView):
    """Usage by model."""

    @extend_schema(
        operation_id="metering_by_model", parameters=[ranges.RangeSerializer], responses=shapes.ByModelSerializer
    )
    @refuses(NotInTier)
    def get(self, request: Request) -> Response:
        """Totals of each model, dearest first; usage without a model under an empty name."""
        asked = self.asked(request)
        rows = _dearest_first(usage_sums(**asked, by=["model", "is_free"]))
        return Response(shapes.ByModelSerializer({"span": asked["span"], "data": rows}).data)


class ByDateView(SumsView):
    """Usage over time."""

    @extend_schema(
        operation_id="metering_by_date", parameters=[ranges.TimelineSerializer], responses=shapes.ByDateSerializer
    )
    @refuses(NotInTier)
    def get(self, request: Request) -> Response:
        """Totals of each hour, day or month in your time zone, oldest first, zeros included."""
        asked = self.asked(request, ranges.TimelineSerializer)
        rows = usage_over_time(**asked)
        answer = {"span": asked["span"], "granularity": asked["granularity"], "data": rows}
        return Response(shapes.ByDateSerializer(answer).data)


class ByUserView(SumsView):
    """Usage by member."""

    @extend_schema(
        operation_id="metering_by_user", parameters=[ranges.RangeSerializer], responses=shapes.ByUserSerializer
    )
    @refuses(NotInTier)
    def get(self, request: Request) -> Response:
        """Totals of each member, dearest first; usage of keys that belong to nobody under null.

        For tiers that track costs in detail, as is narrowing the other sums to a member or key.
        """
        require(cast(Principal, request.auth).organization_id, COST_TRACKING, DETAILED)
        asked = self.asked(request)
        rows = _dearest_first(usage_sums(**asked, by=["member_id"]))
        emails = _emails(asked["organization_id"], (row["member_id"] for row in rows))
        for row in rows:
            row["email"] = emails.get(row["member_id"])
        return Response(shapes.ByUserSerializer({"span": asked["span"], "data": rows}).data)


def _emails(organization_id: UUID, member_ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Of the organization's own members; a test twin's are those of the live one."""
    own = Q(organization_id=organization_id) | Q(organization__test_twin=organization_id)
    members = Membership.objects.filter(own, id__in=[member_id for member_id in member_ids if member_id])
    return dict(members.values_list("id", "user__email"))


class ByTagView(SumsView):
    """Usage by tag."""

    @extend_schema(
        operation_id="metering_by_tag", parameters=[ranges.TagRangeSerializer], responses=shapes.ByTagSerializer
    )
    @refuses(NotInTier)
    def get(self, request: Request) -> Response:
        """Totals of each tag (of one key, when asked) over days of UTC, dearest first.

        For tiers that track costs in detail.
        """
        require(cast(Principal, request.auth).organization_id, COST_TRACKING, DETAILED)
        query = ranges.TagRangeSerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked, organization_id = query.validated_data, cast(Principal, request.auth).organization_id
        kept = self.kept(organization_id, ZoneInfo("UTC"))
        if kept is not None and asked["first"] < kept:
            if "from" in request.query_params or asked["last"] < kept:
                raise refuse_history(organization_id)
            asked["first"] = kept
        rows = tag_sums(organization_id, **asked)
        return Response(shapes.ByTagSerializer({**asked, "data": _dearest_first(rows)}).data)


class FreeTierView(SumsView):
    """Use of free models."""

    @extend_schema(
        operation_id="metering_free_tier", parameters=[ranges.RangeSerializer], responses=shapes.FreeTierSerializer
    )
    @refuses(NotInTier)
    def get(self, request: Request) -> Response:
        """What free models were used for, what that cost, and how many calls a minute your tier allows."""
        asked = self.asked(request)
        asked["only"] = {**asked["only"], "is_free": True}
        terms = terms_for(asked["organization_id"])
        answer = {
            "span": asked["span"],
            "tier": terms.slug,
            "requests_per_minute": terms.free_requests_per_minute,
            "total": usage_total(**asked),
            "today": usage_total(**{**asked, "span": _today(asked["span"].zone)}),
            "by_model": _dearest_first(usage_sums(**asked, by=["model", "is_free"])),
        }
        return Response(shapes.FreeTierSerializer(answer).data)


def _today(zone: ZoneInfo) -> Span:
    return ranges.span_of_day(timezone.now().astimezone(zone).date(), zone)
