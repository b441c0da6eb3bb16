"""Statements over the REST API: list, one, and one as a file."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.entitlements import EXPORTS, NotInTier, require
from accounts.models import Organization
from accounts.requests import ApiRequest
from accounts.scopes import Scope
from core.refusals import refuses
from credits import serializers as shapes
from credits.models import Statement
from credits.statements import Figures, figures_of, running_statement, statements_of
from credits.statements.documents import statement_csv, statement_pdf


class _StatementView(APIView):
    """Reads of the calling organization's statements."""

    scope = Scope.CREDITS_READ

    def organization(self, request: ApiRequest) -> Organization:
        """Whose statements."""
        return Organization.objects.get(pk=request.auth.organization_id)


class StatementsView(_StatementView):
    """Statements of the periods."""

    @extend_schema(operation_id="credits_statements", responses=shapes.StatementListSerializer)
    def get(self, request: ApiRequest) -> Response:
        """What is running, then every statement written, newest first."""
        statements = statements_of(self.organization(request), at=timezone.now())
        return Response(shapes.StatementListSerializer({"data": statements}).data)


class CurrentStatementView(_StatementView):
    """The running period."""

    @extend_schema(operation_id="credits_statement_current", responses=shapes.StatementDetailSerializer)
    def get(self, request: ApiRequest) -> Response:
        """What has moved since the last statement."""
        figures = running_statement(self.organization(request), at=timezone.now())
        return Response(shapes.StatementDetailSerializer(figures).data)


class StatementView(_StatementView):
    """One statement."""

    @extend_schema(operation_id="credits_statement", responses=shapes.StatementDetailSerializer)
    def get(self, request: ApiRequest, pk: UUID) -> Response:
        """Its lines, and its usage by model and by meter."""
        return Response(shapes.StatementDetailSerializer(find_statement(request.auth.organization_id, pk)).data)


class StatementCsvView(_StatementView):
    """One statement as CSV."""

    @extend_schema(operation_id="credits_statement_csv", responses={(200, "text/csv"): OpenApiTypes.STR})
    @refuses(NotInTier)
    def get(self, request: ApiRequest, pk: UUID) -> HttpResponse:
        """Its lines with every digit."""
        require(request.auth.organization_id, EXPORTS, "csv")
        return csv_answer(find_statement(request.auth.organization_id, pk))


class StatementPdfView(_StatementView):
    """One statement as PDF."""

    @extend_schema(operation_id="credits_statement_pdf", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    @refuses(NotInTier)
    def get(self, request: ApiRequest, pk: UUID) -> HttpResponse:
        """One A4 document."""
        require(request.auth.organization_id, EXPORTS, "pdf")
        return pdf_answer(find_statement(request.auth.organization_id, pk), self.organization(request).name)


def find_statement(organization_id: UUID, statement_id: UUID) -> Figures:
    """The organization's own statement. Raises Http404."""
    statement = Statement.objects.filter(organization=organization_id, pk=statement_id).first()
    if statement is None:
        raise Http404("No such statement.")
    return figures_of(statement)


def csv_answer(figures: Figures) -> HttpResponse:
    """The statement as a file to keep."""
    return _file(statement_csv(figures), "text/csv; charset=utf-8", figures, "csv")


def pdf_answer(figures: Figures, organization_name: str) -> HttpResponse:
    """The statement as a file to keep."""
    return _file(statement_pdf(figures, organization_name), "application/pdf", figures, "pdf")


def _file(content: Any, content_type: str, figures: Figures, suffix: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="statement-{figures.number}.{suffix}"'
    return answer
