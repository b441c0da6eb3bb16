"""REST API of reports: parse, call one service, answer."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.response import Response

from accounts.entitlements import NotInTier
from accounts.errors import LiveOnly
from accounts.models import Mode
from accounts.requests import ApiRequest
from accounts.scopes import MANAGE, Scope
from core.refusals import refuses
from reports import serializers as shapes
from reports import services
from reports.errors import NobodyToWriteTo, ReportWanted
from reports.figures import shown
from reports.files import report_pdf
from reports.models import Report, ReportSubscription


@extend_schema_view(
    list=extend_schema(summary="Reports that are sent, newest first"),
    retrieve=extend_schema(summary="One report that is sent"),
)
class ReportSubscriptionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Reports by e-mail every week or month, of the organization, a team or a department."""

    request: ApiRequest
    scopes = {
        "list": Scope.USAGE_READ,
        "retrieve": Scope.USAGE_READ,
        "create": MANAGE,
        "partial_update": MANAGE,
        "destroy": MANAGE,
    }
    serializer_class = shapes.ReportSubscriptionSerializer
    queryset = ReportSubscription.objects.none()

    def get_queryset(self) -> QuerySet[ReportSubscription]:
        """The organization's own; a test key sees none."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        own = ReportSubscription.objects.filter(organization_id=self.request.auth.organization_id)
        return own.select_related("organization", "team").prefetch_related("recipients__membership__user")

    @extend_schema(request=shapes.ReportRequestSerializer, responses={201: shapes.ReportSubscriptionSerializer})
    @refuses(LiveOnly, NotInTier, ReportWanted, NobodyToWriteTo)
    def create(self, request: ApiRequest) -> Response:
        """Send a report to members; the first is of the week or month that runs now."""
        if request.auth.mode != Mode.LIVE:
            raise LiveOnly()
        body = shapes.ReportRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = services.subscribe(**body.validated_data, **self._change(request))
        return Response(self._answer(wanted.id), status=201)

    @extend_schema(request=shapes.ReportRecipientsSerializer, responses=shapes.ReportSubscriptionSerializer)
    @refuses(NobodyToWriteTo)
    def partial_update(self, request: ApiRequest, pk: UUID) -> Response:
        """Send it to just these members. Whoever has unsubscribed stays so."""
        body = shapes.ReportRecipientsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = services.change_recipients(subscription_id=pk, **body.validated_data, **self._change(request))
        return Response(self._answer(wanted.id))

    @extend_schema(responses={204: None})
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Send it no longer; what was written stays."""
        services.cancel(subscription_id=pk, **self._change(request))
        return Response(status=204)

    def _change(self, request: ApiRequest) -> dict[str, Any]:
        caller = request.auth
        return {"organization_id": caller.organization_id, "actor": caller.as_actor, "at": timezone.now()}

    def _answer(self, subscription_id: UUID) -> Any:
        return self.get_serializer(self.get_queryset().get(id=subscription_id)).data


@extend_schema_view(
    list=extend_schema(summary="Reports that were written, newest first"),
    retrieve=extend_schema(responses=shapes.ReportDetailSerializer, summary="One report with its figures"),
)
class ReportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Reports that were written: their figures stay as they were."""

    request: ApiRequest
    scope = Scope.USAGE_READ
    queryset = Report.objects.none()

    def get_serializer_class(self) -> Any:
        """One has its figures."""
        return shapes.ReportDetailSerializer if self.action == "retrieve" else shapes.ReportSerializer

    def get_queryset(self) -> QuerySet[Report]:
        """The organization's own."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        own = Report.objects.filter(organization_id=self.request.auth.organization_id)
        return own if self.action != "list" else own.defer("figures")

    @extend_schema(operation_id="reports_pdf", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def pdf(self, request: ApiRequest, pk: UUID) -> HttpResponse:
        """One A4 document."""
        return pdf_answer(self.get_object())


def pdf_answer(report: Report) -> HttpResponse:
    """A report as a file to keep."""
    answer = HttpResponse(report_pdf(shown(report)), content_type="application/pdf")
    name = f"report-{report.cadence}-{report.first_day:%Y-%m-%d}.pdf"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
