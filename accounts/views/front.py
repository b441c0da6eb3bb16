"""The front page, and the small choices that every page offers."""

from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.context import THEMES
from accounts.selection import select_organization
from core.errors import NotFound

_YEAR = 31_536_000


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What Farebox is, for visitors; members go to their dashboard."""
    return redirect("dashboard") if request.user.is_authenticated else render(request, "accounts/home.html")


@require_POST
@login_required
def switch_organization(request: HttpRequest) -> HttpResponse:
    """Look at another organization, or at the live or test books of this one."""
    try:
        select_organization(request, organization_id=UUID(request.POST.get("organization", "")))
    except (ValueError, NotFound):
        raise Http404("No such organization.") from None
    return HttpResponseRedirect(_list_page(request.POST.get("next", "")) or "/dashboard/")


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember light, dark or the system's colours in this browser."""
    came_from = request.POST.get("next", "")
    response = HttpResponseRedirect(came_from if _is_own_path(came_from) else "/")
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        response.set_cookie("theme", theme, max_age=_YEAR, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


def _is_own_path(path: str) -> bool:
    return path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)


def _list_page(path: str) -> str:
    """``path`` without its query, if another organization has that page too; pages of one object it has not."""
    if not _is_own_path(path):
        return ""
    path = urlsplit(path).path
    try:
        match = resolve(path)
    except Resolver404:
        return ""
    return "" if match.kwargs else path
