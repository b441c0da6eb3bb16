"""Pages of what-ifs."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from advice.models import WhatIfRun
from advice.services import start_what_if
from advice.what_if.forms import WhatIfForm, first_values
from advice.what_if.reading import Asked
from advice.what_if.words import answer_of, change_words
from core.errors import DomainError
from metering.analysis import Days
from metering.models import UsageDay
from metering.price_book import listed_models
from tiers.permits import first_day_kept

RECENT = 8


@require_http_methods(["GET", "POST"])
@organization_page(Scope.USAGE_READ)
def what_if(request: PageRequest) -> HttpResponse:
    """The form, and the what-ifs that were asked before; posted, the way to the answer."""
    today, kept = _today(request)
    form = WhatIfForm(request.POST or None, initial={**first_values(today), **_given(request)})
    if request.method == "POST" and form.is_valid():
        try:
            run = _start(request, form, kept)
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            return redirect("what_if_run", run.pk)
    status = 400 if form.errors else 200
    return render(request, "advice/what_if.html", {**_frame(request, form), "kept": kept}, status=status)


@require_safe
@organization_page(Scope.USAGE_READ)
def what_if_run(request: PageRequest, run_id: UUID) -> HttpResponse:
    """One what-if: how far it is, then its answer; the form beside it asks the next one."""
    run = WhatIfRun.objects.filter(organization_id=request.organization.id, pk=run_id).first()
    if run is None:
        raise Http404("No such what-if.")
    context = {"run": run, "answer": answer_of(run), "words": change_words(run), **_days_of(request, run)}
    if request.htmx:
        response = render(request, "advice/_progress.html", context)
        if run.is_over:
            response["HX-Refresh"] = "true"
        return response
    form = WhatIfForm(initial=_again(run, context))
    return render(request, "advice/what_if_run.html", {**_frame(request, form), **context})


def _start(request: PageRequest, form: WhatIfForm, kept: date | None) -> WhatIfRun:
    data = form.cleaned_data
    first = data["start"] if kept is None else max(data["start"], kept)
    span = Days(first, max(data["end"], first), ZoneInfo(request.organization.time_zone)).span
    return start_what_if(
        organization_id=request.organization.id,
        asked=Asked(span.start, span.end, form.only),
        change=form.change(),
        requested_by=request.principal.actor,
        at=timezone.now(),
    )


def _today(request: PageRequest) -> tuple[date, date | None]:
    today = timezone.now().astimezone(ZoneInfo(request.organization.time_zone)).date()
    return today, first_day_kept(request.organization.id, today)


def _given(request: PageRequest) -> dict[str, Any]:
    """What a link to the page has filled in."""
    return {name: request.GET[name] for name in ("only_model", "model", "tier") if name in request.GET}


def _frame(request: PageRequest, form: WhatIfForm) -> dict[str, Any]:
    organization_id = request.organization.id
    used = UsageDay.objects.filter(organization_id=organization_id).exclude(model="").values_list("model", flat=True)
    recent = WhatIfRun.objects.filter(organization_id=organization_id).defer("by_organization")
    runs = list(recent.order_by("-created_at", "-id")[:RECENT])
    return {
        "form": form,
        "used_models": sorted(used.distinct()),
        "all_models": [model.id for model in listed_models()],
        "runs": [(each, change_words(each), answer_of(each)) for each in runs],
    }


def _days_of(request: PageRequest, run: WhatIfRun) -> dict[str, date]:
    zone = ZoneInfo(request.organization.time_zone)
    return {"first": _day(run.starts_at, zone), "last": _day(run.ends_at - timedelta(microseconds=1), zone)}


def _day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def _again(run: WhatIfRun, days: dict[str, Any]) -> dict[str, Any]:
    """The form as it was filled in for this run."""
    change = run.change
    return {
        "start": days["first"],
        "end": days["last"],
        "only_model": run.only.get("model", ""),
        "model": change.get("model", ""),
        "tier": f"{change['tier']}|{change.get('option', '')}" if change.get("tier") else "",
        "markup_percent": change.get("markup_percent"),
        "paid_by": {True: "own", False: "credit"}.get(change.get("is_byok"), ""),
        "prices_on": change["prices_at"][:10] if "prices_at" in change else None,
        "cap": change.get("cap"),
        "window": change.get("window", "monthly"),
    }
