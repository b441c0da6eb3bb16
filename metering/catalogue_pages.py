"""The page of all models."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from metering.model_filter import ModelFilterForm
from metering.model_list import catalogue_of

PAGE_SIZE = 50


@require_safe
@organization_page(Scope.USAGE_READ)
def models(request: PageRequest) -> HttpResponse:
    """Every model of the catalogue with its prices, searched, filtered and sorted."""
    catalogue = catalogue_of(request.organization.id, timezone.now())
    form = ModelFilterForm(request.GET, models=catalogue.models)
    found = form.apply(catalogue.models)
    context = {
        "form": form,
        "page": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "count": len(found),
        "known": len(catalogue.models),
        "markup": catalogue.markup,
    }
    return render(request, "metering/models.html", context)
