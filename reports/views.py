"""Pages of reports: what is sent to whom, what was sent, a look ahead, and the way off a list."""

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.entitlements import SCHEDULED_REPORTS, NotInTier, require
from accounts.models import Organization
from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from core.errors import DomainError, NotFound
from reports import services
from reports.figures import Scope as About
from reports.figures import Shown, figures_of, shown
from reports.forms import RecipientsForm, ReportForm
from reports.letters import recipient_of
from reports.models import Format, Recipient, Report, ReportSubscription
from reports.periods import period_of, today_in
from reports.viewsets import pdf_answer
from tiers.permits import first_day_kept, included

LATEST = 50


@require_safe
@organization_page(Scope.USAGE_READ)
def reports(request: PageRequest) -> HttpResponse:
    """What is sent, and what was."""
    return _reports_page(request, ReportForm(organization=_live(request)))


@require_POST
@organization_page(MANAGE)
def new_report(request: PageRequest) -> HttpResponse:
    """Send a report from now on."""
    form = ReportForm(request.POST, organization=_live(request))
    if form.is_valid():
        try:
            wanted = services.subscribe(**form.wish(), **_change(request))
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            done = _("The report of {subject} is on its way from now on. This is how it looks today.")
            messages.success(request, done.format(subject=wanted.subject))
            return redirect("report_preview", wanted.id)
    return _reports_page(request, form, status=400)


@require_http_methods(["GET", "POST"])
@organization_page(MANAGE)
def report_recipients(request: PageRequest, subscription_id: UUID) -> HttpResponse:
    """Who gets it."""
    live, wanted = _live(request), _subscription(request, subscription_id)
    now_on = [recipient.membership_id for recipient in wanted.recipients.all()]
    form = RecipientsForm(request.POST or None, organization=live, initial={"members": now_on})
    if request.method == "POST" and form.is_valid():
        try:
            services.change_recipients(subscription_id=wanted.id, member_ids=form.ids(), **_change(request))
        except DomainError as refusal:
            form.add_error("members", refusal.detail)
        else:
            messages.success(request, _("The list is saved."))
            return redirect("reports")
    return render(request, "reports/recipients.html", {"wanted": wanted, "form": form})


@require_POST
@organization_page(MANAGE)
def cancel_report(request: PageRequest, subscription_id: UUID) -> HttpResponse:
    """Send it no longer."""
    wanted = _subscription(request, subscription_id)
    services.cancel(subscription_id=wanted.id, **_change(request))
    messages.success(request, _("The report of {subject} is sent no longer.").format(subject=wanted.subject))
    return redirect("reports")


@require_safe
@organization_page(Scope.USAGE_READ)
def report_preview(request: PageRequest, subscription_id: UUID) -> HttpResponse:
    """The running period so far, as its report would be now."""
    wanted, live = _subscription(request, subscription_id), _live(request)
    today = today_in(ZoneInfo(live.time_zone), timezone.now())
    period = period_of(today, wanted.cadence)
    figures = figures_of(About(live, wanted.team), period, kept=first_day_kept(live.id, today))
    facts = Shown(wanted.subject, wanted.cadence, period.first, period.last, live.time_zone, figures)
    return render(request, "reports/report.html", {"facts": facts, "wanted": wanted})


@require_safe
@organization_page(Scope.USAGE_READ)
def report(request: PageRequest, report_id: UUID) -> HttpResponse:
    """A report that was written."""
    found = _report(request, report_id)
    return render(request, "reports/report.html", {"facts": shown(found), "report": found})


@require_safe
@organization_page(Scope.USAGE_READ)
def report_file(request: PageRequest, report_id: UUID) -> HttpResponse:
    """The same as PDF."""
    return pdf_answer(_report(request, report_id))


@require_POST
@organization_page(Scope.USAGE_READ)
def get_again(request: PageRequest, recipient_id: UUID) -> HttpResponse:
    """Write to me again."""
    try:
        services.subscribe_again(recipient_id=recipient_id, user_id=request.user.pk or 0, at=timezone.now())
    except NotFound as refusal:
        raise Http404(refusal.detail) from None
    messages.success(request, _("You get this report again."))
    return redirect("reports")


@csrf_exempt  # the mail program's own button sends the request, without any page of ours
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Off one list, without signing in. Opening the link only asks, for programs open links by themselves."""
    recipient_id = recipient_of(token)
    rows = Recipient.objects.select_related("subscription__team", "subscription__organization")
    recipient = rows.filter(id=recipient_id).first() if recipient_id else None
    if recipient is None:
        return render(request, "reports/unsubscribe.html", {"recipient": None}, status=404)
    if request.method == "POST":
        recipient = services.unsubscribe(recipient_id=recipient.id, at=timezone.now())
    answer = render(request, "reports/unsubscribe.html", {"recipient": recipient, "wanted": recipient.subscription})
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def _reports_page(request: PageRequest, form: ReportForm, status: int = 200) -> HttpResponse:
    live = _live(request)
    wanted = live.report_subscriptions.select_related("team", "organization")
    written = Report.objects.filter(organization=live).defer("figures")
    formats = included(live.id, SCHEDULED_REPORTS, [each.value for each in Format])
    context = {
        "wanted": wanted.prefetch_related("recipients__membership__user").order_by("created_at", "id"),
        "written": written[:LATEST],
        "form": form if formats else None,
        "refusal": None if formats else _refusal(live),
        "may_manage": request.principal.has_scope(MANAGE),
        "zone": live.time_zone,
    }
    return render(request, "reports/reports.html", context, status=status)


def _refusal(live: Organization) -> NotInTier | None:
    try:
        require(live.id, SCHEDULED_REPORTS, Format.PDF)
    except NotInTier as refusal:
        return refusal
    return None


def _live(request: PageRequest) -> Organization:
    return request.organization.live_organization or request.organization


def _subscription(request: PageRequest, subscription_id: UUID) -> ReportSubscription:
    rows = ReportSubscription.objects.select_related("team", "organization").prefetch_related(
        "recipients__membership__user"
    )
    found = rows.filter(id=subscription_id, organization=_live(request)).first()
    if found is None:
        raise Http404("No such report.")
    return found


def _report(request: PageRequest, report_id: UUID) -> Report:
    found = Report.objects.filter(id=report_id, organization=_live(request)).first()
    if found is None:
        raise Http404("No such report.")
    return found


def _change(request: PageRequest) -> dict[str, Any]:
    return {"organization_id": _live(request).id, "actor": request.principal.as_actor, "at": timezone.now()}
