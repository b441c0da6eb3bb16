"""An organization as operators look at it: where it stands, and all that happened to it."""

from typing import Any
from uuid import UUID

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import ApiKey, Membership, Organization
from config.timeline import WHAT, timeline_of
from credits.balances import current_balance
from openrouter.models import ProviderAccount
from tiers.models import Subscription

# All of it is on the page, so all of it must be allowed.
PERMISSIONS = ("accounts.view_organization", "credits.view_ledgerentry", "outbox.view_domainevent")


def organization_timeline(request: HttpRequest, organization_id: UUID, site: AdminSite) -> HttpResponse:
    """The page; ``what`` chooses a part of the timeline, ``before`` the position that it goes on from."""
    if not request.user.has_perms(PERMISSIONS):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    organization = (
        Organization.objects.select_related("live_organization", "test_twin").filter(pk=organization_id).first()
    )
    if organization is None:
        raise Http404("No such organization.")
    what = request.GET.get("what", "")
    what = what if what in WHAT else ""
    before = request.GET.get("before", "")
    context = {
        **site.each_context(request),
        "title": organization.name,
        "subtitle": None,
        "organization": organization,
        "twin": organization.live_organization if organization.is_test else getattr(organization, "test_twin", None),
        "standing": _standing(organization),
        "timeline": timeline_of(organization_id, what=what, before=before),
        "what": what,
        "choices": WHAT.items(),
        "is_later_page": bool(before),
    }
    return TemplateResponse(request, "admin/organization_timeline.html", context)


def _standing(organization: Organization) -> dict[str, Any]:
    now = timezone.now()
    subscriptions = Subscription.objects.filter(organization=organization, ended_at__isnull=True)
    members = Membership.objects.filter(organization_id=organization.live_organization_id or organization.id)
    return {
        "balance": current_balance(organization.id, now),
        "subscription": subscriptions.select_related("tier").first(),
        "members": members.count(),
        "keys": ApiKey.objects.filter(organization=organization).usable(now).count(),
        "provider": ProviderAccount.objects.filter(organization=organization).defer("secret").first(),
    }
