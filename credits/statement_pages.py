"""Pages of statements."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.entitlements import EXPORTS, page_requires
from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from credits.statement_views import csv_answer, find_statement, pdf_answer
from credits.statements import Figures, running_statement, statements_of


@require_safe
@organization_page(Scope.CREDITS_READ)
def statements(request: PageRequest) -> HttpResponse:
    """Every statement, newest first, after what is running."""
    found = statements_of(request.organization, at=timezone.now())
    return render(request, "credits/statements.html", {"statements": found})


@require_safe
@organization_page(Scope.CREDITS_READ)
def statement(request: PageRequest, statement_id: UUID) -> HttpResponse:
    """One statement."""
    return _page(request, find_statement(request.organization.id, statement_id))


@require_safe
@organization_page(Scope.CREDITS_READ)
def current_statement(request: PageRequest) -> HttpResponse:
    """What has moved since the last statement."""
    return _page(request, running_statement(request.organization, at=timezone.now()))


@require_safe
@organization_page(Scope.CREDITS_READ)
def export_csv(request: PageRequest, statement_id: UUID) -> HttpResponse:
    """One statement as CSV."""
    page_requires(request, EXPORTS, "csv")
    return csv_answer(find_statement(request.organization.id, statement_id))


@require_safe
@organization_page(Scope.CREDITS_READ)
def export_pdf(request: PageRequest, statement_id: UUID) -> HttpResponse:
    """One statement as PDF."""
    page_requires(request, EXPORTS, "pdf")
    return pdf_answer(find_statement(request.organization.id, statement_id), request.organization.name)


def _page(request: PageRequest, figures: Figures) -> HttpResponse:
    with timezone.override(figures.zone):  # a period's ends are meant in its own zone
        return render(request, "credits/statement.html", {"statement": figures})
