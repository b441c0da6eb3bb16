"""The page that says how good estimates were."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, organization_page, part_of
from accounts.scopes import Scope
from metering.estimates.accuracy import DAYS, accuracy_of, change_mark_of

RANGES = (7, 30, 90)
_NO_NEWS = 204


@require_safe
@never_cache
@organization_page(Scope.USAGE_READ)
def accuracy(request: PageRequest) -> HttpResponse:
    """How often estimates held, by model."""
    return render(request, "metering/accuracy.html", _context(request))


@require_safe
@never_cache
@organization_page(Scope.USAGE_READ)
@part_of("estimate_accuracy")
def accuracy_live(request: PageRequest) -> HttpResponse:
    """The figures alone, if they have changed since the page last asked."""
    context = _context(request)
    if request.GET.get("seen") == context["mark"]:
        return HttpResponse(status=_NO_NEWS)
    return render(request, "metering/_accuracy.html", context)


def _context(request: PageRequest) -> dict[str, Any]:
    now = timezone.now()
    days = int(chosen) if (chosen := request.GET.get("days", "")) in map(str, RANGES) else DAYS
    mark = change_mark_of(request.organization.id, at=now)  # read first: what changes meanwhile is news next time
    found = accuracy_of(request.organization.id, at=now, days=days)
    return {"accuracy": found, "mark": mark, "days": days, "ranges": RANGES}
