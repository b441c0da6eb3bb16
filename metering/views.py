"""The overview: the wallet, live; where the credit went; the latest calls."""

from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.first_call import first_call
from accounts.models import ApiKey
from accounts.pages import PageRequest, organization_page, part_of
from accounts.scopes import Scope
from core.charts import Chart, ChartRow
from credits.wallet import change_mark, wallet_of
from metering.burn_down import burn_down, forecast_of
from metering.dashboard import Spend, pace_of, recent_events, spend_of
from metering.models import UsageEvent
from tiers.permits import first_day_kept
from tiers.querysets import subscription_of

RANGES = (7, 30, 90)
ALL_DAYS = 100_000  # of a plan that keeps everything
PAGE_SIZE = 50
_NO_NEWS = 204


@require_safe
@organization_page(Scope.CREDITS_READ)
def dashboard(request: PageRequest) -> HttpResponse:
    """The wallet, live; spend by day and model; the latest calls."""
    now, zone, organization_id = timezone.now(), ZoneInfo(request.organization.time_zone), request.organization.id
    today = now.astimezone(zone).date()
    kept = first_day_kept(organization_id, today)
    most = ALL_DAYS if kept is None else (today - kept).days + 1
    days = _range(request.GET.get("days", ""), most)
    shown = min(days, most)
    spend = spend_of(organization_id, at=now, days=shown, zone=zone, compare=2 * shown <= most)
    live = _live_context(request)
    context = {
        **live,
        "balances": burn_down(organization_id, wallet=live["wallet"], pace=live["pace"], at=now, days=days, zone=zone),
        "subscription": subscription_of(organization_id),
        "zone": request.organization.time_zone,
        "spend": spend,
        "chart": _chart(spend),
        "days": days,
        "kept": kept if shown < days else None,
        "compares": 2 * shown <= most,
        "ranges": RANGES,
        "has_key": ApiKey.objects.filter(organization=request.organization).usable(now).exists(),
        "snippets": first_call(request, organization_id),
    }
    return render(request, "metering/dashboard.html", context)


@require_safe
@organization_page(Scope.CREDITS_READ)
@part_of("dashboard")
def dashboard_live(request: PageRequest) -> HttpResponse:
    """The parts that move, if they have since the page last asked."""
    if request.GET.get("seen") == _mark(request):
        return HttpResponse(status=_NO_NEWS)
    return render(request, "metering/_live.html", {**_live_context(request), "is_live": True})


def _range(asked: str, most: int) -> int:
    """The range that is asked for; without one 30 days, or the longest that a plan with ``most`` days has."""
    if asked in map(str, RANGES):
        return int(asked)
    return max((days for days in RANGES[:2] if days <= most), default=RANGES[0])


def _live_context(request: PageRequest) -> dict[str, Any]:
    now, organization_id = timezone.now(), request.organization.id
    mark = _mark(request)  # read first: what changes meanwhile is news next time
    wallet = wallet_of(organization_id, now)
    pace = pace_of(organization_id, available=wallet.balance.available, at=now)
    return {
        "mark": mark,
        "wallet": wallet,
        "pace": pace,
        "forecast": forecast_of(wallet, pace, at=now, days=0) if pace.charge else None,
        "recent": recent_events(organization_id),
    }


def _mark(request: PageRequest) -> str:
    events = UsageEvent.objects.filter(organization_id=request.organization.id)
    latest = events.order_by("-occurred_at", "-id").values_list("id", flat=True).first()
    return f"{change_mark(request.organization.id)}.{latest}"


def _chart(spend: Spend) -> Chart:
    return Chart(
        label=_("Spend by day and model"),
        axis=_("Day"),
        names=[name or _("Other models") for name in spend.names],
        rows=[ChartRow(date_format(day.day, "M j"), day.values) for day in spend.days],
    )
