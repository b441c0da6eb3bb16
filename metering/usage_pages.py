"""Pages of usage: what was used, the events behind it, why a charge is what it is, and each model."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.entitlements import COST_TRACKING, DASHBOARDS, EXPORTS, NotInTier
from accounts.models import ApiKey, Membership, Team
from accounts.pages import PageRequest, organization_page
from accounts.scopes import Scope
from core.keyset import read_page
from metering.analysis import Days, analyse, metrics, tag_keys
from metering.analytics.dimensions import live_id, within
from metering.detail import BREAKDOWNS, DETAILED, require_detail, shown_among
from metering.event_search import narrowed
from metering.forms import GROUPINGS, RANGES, EventFilterForm, UsageForm
from metering.lab import can_be_tried
from metering.model_page import model_facts, model_usage
from metering.models import UsageEvent
from metering.positions import ByTime
from metering.price_book import card_for
from metering.receipt import receipt_of
from tiers.permits import first_day_kept, offer_of

PAGE_SIZE = 50
PROMPT_TAG = "prompt_id"
_SHOWN = (*BREAKDOWNS, (DASHBOARDS, "personal"), (EXPORTS, "csv"), (EXPORTS, "json"))


@require_safe
@organization_page(Scope.USAGE_READ)
def usage(request: PageRequest) -> HttpResponse:
    """Spend, calls and tokens of some days by model, kind, member, key or tag, beside the days before."""
    form = UsageForm(request.GET)
    days, kept = days_asked(request, form)
    offered = {each.slug: each for each in metrics()}
    metric = offered[form.chosen("metric", "spend")]
    offer, by = offer_of(request.organization.id, _SHOWN), form.chosen("by", "model")
    if not shown_among([by], offer):
        _require_detail(request, [by])
    keys = tag_keys(request.organization.id, days) if by == "tag" else []
    tag = PROMPT_TAG if by == "prompt" else tag_asked(form, keys)
    team, only = team_asked(request, form)
    asked: dict[str, Any] = {"by": "tag" if by == "prompt" else by, "metric": metric, "tag_key": tag, "only": only}
    answer = analyse(request.organization, days, compare=may_compare(days, kept), **asked)
    context = {
        **_frame(form, days, kept),
        "analysis": answer,
        "rows": [(group, _drill(asked["by"], group.key, tag, days, team)) for group in answer.groups],
        "team": team,
        "is_tag": asked["by"] == "tag",
        "export_formats": [value for key, value in offer if key == EXPORTS],
        "has_personal": (DASHBOARDS, "personal") in offer,
        "is_detailed": (COST_TRACKING, DETAILED) in offer,
        "is_model": by == "model",
        "metrics": offered.values(),
        "metric": metric,
        "groupings": [(slug, GROUPINGS[slug]) for slug in shown_among(GROUPINGS, offer)],
        "by": by,
        "by_label": GROUPINGS[by],
        "tag_keys": keys,
        "tag": tag,
        "events_url": _drill("", "", "", days, team),
    }
    return render(request, "metering/usage.html", context)


@require_safe
@organization_page(Scope.USAGE_READ)
def model(request: PageRequest, model_id: str) -> HttpResponse:
    """One model: what it costs here, and what the organization has used it for."""
    form = UsageForm(request.GET)
    days, kept = days_asked(request, form)
    now = timezone.now()
    facts = model_facts(model_id, request.organization.id, at=now)
    own = model_usage(request.organization.id, model_id, days, compare=may_compare(days, kept))
    if facts.model is None and not own.total.now["events"]:
        raise Http404("No such model.")
    context = {
        **_frame(form, days, kept),
        "facts": facts,
        "own": own,
        "model_id": model_id,
        "latest": _latest(request.organization.id, model_id, own.last_day),
        "can_be_tried": facts.may_use
        and request.principal.has_scope(Scope.GATEWAY)
        and can_be_tried(card_for(model_id, now)),
        "events_url": _drill("model", model_id, "", days),
    }
    return render(request, "metering/model.html", context)


@require_safe
@organization_page(Scope.USAGE_READ)
def usage_events(request: PageRequest) -> HttpResponse:
    """Every event, newest first, filtered."""
    form = EventFilterForm(request.GET)
    events = form.apply(UsageEvent.objects.filter(organization_id=request.organization.id))
    before, after = request.GET.get("before"), request.GET.get("after")
    where = {"before": ByTime().moment_of(before), "after": ByTime().moment_of(after)}
    page = None
    for found in narrowed(events, request.organization.id, form.cleaned_data, **where, size=PAGE_SIZE):
        page = read_page(found.defer("derivation", "metadata"), ByTime(), before=before, after=after, size=PAGE_SIZE)
        if page.is_full:
            break
    return render(request, "metering/events.html", {"form": form, "page": page})


@require_safe
@organization_page(Scope.USAGE_READ)
def usage_event(request: PageRequest, event_id: UUID) -> HttpResponse:
    """One event and the receipt of its charge."""
    event = UsageEvent.objects.filter(organization_id=request.organization.id, id=event_id).first()
    if event is None:
        raise Http404("No such event.")
    keys = ApiKey.objects.filter(organization=request.organization)
    key = keys.filter(id=event.api_key_id).first() if event.api_key_id else None
    members = Membership.objects.filter(organization_id=live_id(request.organization))
    member = members.filter(id=event.member_id).select_related("user").first() if event.member_id else None
    context = {"event": event, "receipt": receipt_of(event), "key": key, "member": member}
    return render(request, "metering/event.html", context)


def days_asked(request: PageRequest, form: UsageForm) -> tuple[Days, date | None]:
    """The days that are asked for and shown, and the first one that the plan keeps; None: all of them."""
    zone = ZoneInfo(request.organization.time_zone)
    today = timezone.now().astimezone(zone).date()
    first, last = form.span(today)
    kept = first_day_kept(request.organization.id, today)
    if kept is not None:
        first, last = max(first, kept), max(last, kept)
    return Days(first, last, zone), kept


def may_compare(days: Days, kept: date | None) -> bool:
    """Whether the days before are within what the plan keeps."""
    return kept is None or days.before().first >= kept


def _frame(form: UsageForm, days: Days, kept: date | None) -> dict[str, Any]:
    asked = form.span(days.last)[0]
    return {
        "form": form,
        "days": days,
        "ranges": RANGES,
        "preset": form.preset,
        "kept": kept if kept is not None and asked < kept else None,
        "compares": may_compare(days, kept),
    }


def grouping_asked(request: PageRequest, form: UsageForm) -> str:
    """What the usage is asked by. Raises PermissionDenied where the tier does not show it."""
    by = form.chosen("by", "model")
    _require_detail(request, [by])
    return by


def _require_detail(request: PageRequest, names: list[str]) -> None:
    try:
        require_detail(request.organization.id, names)
    except NotInTier as refusal:
        raise PermissionDenied(refusal.detail) from None


def tag_asked(form: UsageForm, keys: list[str]) -> str:
    """The tag that is asked for, or the first that there is."""
    asked = form.chosen("tag", "")
    return asked if asked in keys else next(iter(keys), "")


def team_asked(request: PageRequest, form: UsageForm) -> tuple[Team | None, dict[str, Any]]:
    """The team that is asked for, if it is the organization's, and what that says of the sums."""
    team_id: UUID | None = form.cleaned_data.get("team")
    teams = within(request.organization, team_id) if team_id else []
    if teams:
        _require_detail(request, ["team"])
    return (Team.objects.get(id=team_id), {"team_id__in": teams}) if team_id and teams else (None, {})


def _drill(by: str, key: str, tag: str, days: Days, team: Team | None = None) -> str:
    """Where the events of one line are listed."""
    narrowed = {"tag": {"tag": f"{tag}={key}"}}.get(by) or ({by: key} if by and key else {})
    narrowed = {**({"team": str(team.id)} if team else {}), **narrowed}
    query = {**narrowed, "start": days.first.isoformat(), "end": days.last.isoformat()}
    return f"{reverse('usage_events')}?{urlencode(query)}"


def _latest(organization_id: UUID, model_id: str, last_day: date | None) -> list[UsageEvent]:
    if last_day is None:
        return []
    events = UsageEvent.objects.filter(organization_id=organization_id, model=model_id, voided_at__isnull=True)
    return list(events.filter(**_around(last_day)).order_by("-occurred_at", "-id").defer("derivation", "metadata")[:8])


def _around(day: date) -> dict[str, Any]:
    """The week up to a day of UTC: a model long unused is not searched for through everything since."""
    end = datetime.combine(day + timedelta(days=1), time.min, UTC)
    return {"occurred_at__gte": end - timedelta(days=7), "occurred_at__lt": end}
