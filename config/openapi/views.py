"""The API's documentation, browsable without a connection to anywhere."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import capfirst
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from core.problems import FRAMEWORK_REFUSALS
from core.refusals import all_refusals


class SchemaView(SpectacularAPIView):
    """The OpenAPI document."""

    throttle_classes = []


@extend_schema(exclude=True)
class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI from our own static files."""

    throttle_classes = []


def error_reference(request: HttpRequest) -> HttpResponse:
    """Every code of a problem document, explained; ``type`` of a problem leads here."""
    rows = {error.code: (error.code, error.status, error.title, _explanation(error)) for error in all_refusals()}
    for error, (code, title) in FRAMEWORK_REFUSALS.items():
        rows.setdefault(code, (code, error.status_code, title, ""))
    return render(request, "api/errors.html", {"errors": sorted(rows.values())})


def _explanation(error: type) -> str:
    return capfirst(" ".join((error.__doc__ or "").replace("``", "").split()))
