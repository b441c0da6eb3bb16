"""What every page of an organization shares: who is looking, at whose books, with which rights."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.permissions import SAFE_METHODS

from accounts.authentication import principal_of_member
from accounts.models import Membership, Organization
from accounts.principal import Principal
from accounts.selection import selected_place

Place = tuple[Organization, Membership]
View = Callable[..., HttpResponseBase]

_UNSET_ZONE = "UTC"
_ZONES = available_timezones()


class PageRequest(HttpRequest):
    """A request that :func:`organization_page` has let through."""

    organization: Organization
    principal: Principal
    htmx: Any


def place_of(request: HttpRequest) -> Place | None:
    """The organization looked at and the membership that permits it, asked for once a request; None for strangers."""
    if not request.user.is_authenticated:
        return None
    if not hasattr(request, "_place"):
        request._place = selected_place(request)  # type: ignore[attr-defined]
    return request._place  # type: ignore[attr-defined]


def zone_of(request: HttpRequest) -> ZoneInfo:
    """Where times are shown: the person's zone, until they have set one their browser's (cookie ``tz``), or UTC."""
    chosen = getattr(request.user, "time_zone", _UNSET_ZONE)
    if chosen == _UNSET_ZONE:
        chosen = unquote(request.COOKIES.get("tz", _UNSET_ZONE))
    return ZoneInfo(chosen if chosen in _ZONES else _UNSET_ZONE)


def part_of(page: str) -> Callable[[View], View]:
    """Lead whoever opens a live part by its address, as after signing in again, to the page that it is a part of."""

    def decorate(view: View) -> View:
        @wraps(view)
        def answered(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            is_opened = not request.htmx and request.headers.get("Sec-Fetch-Dest") == "document"
            return redirect(page) if is_opened else view(request, *args, **kwargs)

        return answered

    return decorate


def _belongs_nowhere(request: HttpRequest) -> HttpResponse:
    """Say so; operators, who need no organization, are led from where signing in leads to the back office."""
    match = request.resolver_match
    if getattr(request.user, "is_staff", False) and match and match.url_name == settings.LOGIN_REDIRECT_URL:
        return redirect("admin:index")
    return render(request, "accounts/no_organization.html", status=403)


def organization_page(scope: str) -> Callable[[View], View]:
    """Let members whose role has ``scope`` in; ``request.organization`` and ``request.principal`` are set for the view.

    Others are sent to the login, told that they belong nowhere, or refused. A live part of a page gets a bare 401
    instead of a login form in its place. The books of a suspended organization are its own: its pages stay readable,
    and nothing on them can be changed.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return HttpResponse(status=401) if request.htmx else redirect_to_login(request.get_full_path())
            place = place_of(request)
            if place is None:
                return _belongs_nowhere(request)
            request.organization = place[0]
            request.principal = principal_of_member(*place)
            if not request.principal.has_scope(scope):
                raise PermissionDenied(_("Your role in this organization does not include this page."))
            if place[0].is_suspended and request.method not in SAFE_METHODS:
                raise PermissionDenied(
                    _("This organization is suspended: its pages can be read, and nothing can be changed.")
                )
            with timezone.override(zone_of(request)):
                response = view(request, *args, **kwargs)
            # Going back after signing out, or after a call, must not show the books as they were.
            response.headers.setdefault("Cache-Control", "private, no-store")
            return response

        guarded.scope = scope  # type: ignore[attr-defined]  # for whoever asks who may see what
        return guarded

    return decorate
