"""What the usage page shows, as files."""

from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.entitlements import COST_TRACKING, EXPORTS, page_requires
from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from metering.analysis import tag_keys
from metering.analytics.answering import answer
from metering.analytics.asking import Question
from metering.analytics.dimensions import TAG, Dimension, dimension_of
from metering.analytics.exports import csv_of
from metering.detail import DETAILED
from metering.errors import TooManyGroups
from metering.forms import UsageForm
from metering.ranges import UTC_ZONE, span_of_day
from metering.sums import Span
from metering.usage_pages import days_asked, grouping_asked, tag_asked, team_asked
from metering.viewsets.analytics import csv_file, focus_file, json_file

# What a line of the page is of: usage without a model has a name or a kind.
_OF_A_LINE = {"model": ("model", "name", "kind")}


@require_safe
@organization_page(Scope.USAGE_READ)
def usage_csv(request: PageRequest) -> HttpResponseBase:
    """The lines over time, as CSV."""
    page_requires(request, EXPORTS, "csv")
    question = _question(request)
    try:
        return csv_file(csv_of(answer(question)), f"usage-{_days(question.span)}")
    except TooManyGroups as refusal:
        return _back(request, refusal)


@require_safe
@organization_page(Scope.USAGE_READ)
def usage_json(request: PageRequest) -> HttpResponse:
    """The same as JSON."""
    page_requires(request, EXPORTS, "json")
    try:
        return json_file(answer(_question(request)))
    except TooManyGroups as refusal:
        return _back(request, refusal)


@require_safe
@organization_page(Scope.USAGE_READ)
def usage_focus(request: PageRequest) -> HttpResponseBase:
    """The usage of the days with the columns of FOCUS."""
    page_requires(request, EXPORTS, "csv")
    page_requires(request, COST_TRACKING, DETAILED)
    form = UsageForm(request.GET)
    days, _kept = days_asked(request, form)
    _team, only = team_asked(request, form)
    try:
        return focus_file(Question(request.organization, days.span, only=only))
    except TooManyGroups as refusal:
        return _back(request, refusal)


def _back(request: PageRequest, refusal: TooManyGroups) -> HttpResponse:
    """To the page of usage, with the reason why there is no file."""
    messages.error(request, refusal.detail)
    return redirect(f"{reverse('usage')}?{request.GET.urlencode()}")


def _question(request: PageRequest) -> Question:
    form = UsageForm(request.GET)
    days, _kept = days_asked(request, form)
    by = grouping_asked(request, form)
    _team, only = team_asked(request, form)
    if by not in ("prompt", TAG):
        dimensions = _dimensions(*_OF_A_LINE.get(by, (by,)))
        return Question(request.organization, days.span, by=dimensions, only=only, granularity=days.granularity)
    key = "prompt_id" if by == "prompt" else tag_asked(form, tag_keys(request.organization.id, days))
    span = Span(span_of_day(days.first, UTC_ZONE).start, span_of_day(days.last, UTC_ZONE).end, UTC_ZONE)
    granularity = "month" if days.granularity == "month" else "day"
    by_tag = (Dimension(f"{TAG}:{key}", "tag_value", key),)
    return Question(request.organization, span, by=by_tag, only=only, tag=key or " ", granularity=granularity)


def _dimensions(*slugs: str) -> tuple[Dimension, ...]:
    return tuple(dimension for slug in slugs if (dimension := dimension_of(slug)))


def _days(span: Span) -> str:
    zone: ZoneInfo = span.zone
    return f"{span.start.astimezone(zone):%Y-%m-%d}-{span.end.astimezone(zone):%Y-%m-%d}"
