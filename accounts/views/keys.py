"""API keys: listed, made, rotated, revoked. A secret is on the page once, in the answer that made it."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.entitlements import API_ACCESS, require
from accounts.first_call import first_call
from accounts.forms import KeyForm, KeyTermsForm, RotateForm
from accounts.models import ApiKey
from accounts.pages import PageRequest, organization_page
from accounts.principal import Actor
from accounts.scopes import ANY, MANAGE
from accounts.services import create_api_key, revoke_api_key, rotate_api_key, update_api_key
from core.errors import DomainError


@require_safe
@organization_page(ANY)
def api_keys(request: PageRequest) -> HttpResponse:
    """The organization's keys, working ones first."""
    now = timezone.now()
    keys = (
        ApiKey.objects.filter(organization=request.organization)
        .select_related("member__user", "team")
        .order_by("-created_at")
    )
    working = [key for key in keys if key.is_active(now)]
    ended = [key for key in keys if not key.is_active(now)]
    context = {"working": working, "ended": ended, "may_manage": request.principal.has_scope(MANAGE), "now": now}
    return render(request, "accounts/keys.html", context)


@require_http_methods(["GET", "POST"])
@never_cache
@organization_page(MANAGE)
def new_api_key(request: PageRequest) -> HttpResponse:
    """Make a key and show its secret, once."""
    form = KeyForm(request.POST or None, grantable=request.principal.scopes, organization=request.organization)
    if request.method == "POST" and form.is_valid():
        now = timezone.now()
        try:
            require(request.organization.id, API_ACCESS)
            key, secret = create_api_key(
                organization=request.organization,
                name=form.cleaned_data["name"],
                terms=form.terms(now),
                actor=_actor(request),
                at=now,
            )
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            return _secret_page(request, key, secret)
    return render(request, "accounts/key_form.html", {"form": form})


@require_http_methods(["GET", "POST"])
@organization_page(MANAGE)
def change_key(request: PageRequest, key_id: UUID) -> HttpResponse:
    """Give a working key another name or other terms; its secret stays."""
    key = _key(request, key_id)
    now = timezone.now()
    if not key.is_active(now):
        messages.error(request, _("“{name}” has ended: make a new key.").format(name=key.name))
        return redirect("api_keys")
    form = KeyTermsForm(request.POST or None, key=key, grantable=request.principal.scopes)
    if request.method == "POST" and form.is_valid():
        try:
            update_api_key(
                key_id=key.id,
                organization_id=request.organization.id,
                name=form.cleaned_data["name"],
                terms=form.terms(now),
                actor=_actor(request),
                at=now,
            )
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            messages.success(request, _("“{name}” is saved; it holds within a second.").format(name=key.name))
            return redirect("api_keys")
    return render(request, "accounts/key_form.html", {"form": form, "key": key})


@require_http_methods(["GET", "POST"])
@organization_page(MANAGE)
def revoke_key(request: PageRequest, key_id: UUID) -> HttpResponse:
    """End a key, after a page that says what that means."""
    key = _key(request, key_id)
    if request.method != "POST":
        return render(request, "accounts/key_revoke.html", {"key": key})
    revoke_api_key(key_id=key.id, organization_id=request.organization.id, actor=_actor(request), at=timezone.now())
    messages.success(request, _("“%s” is revoked. Calls with it are refused from now on.") % key.name)
    return redirect("api_keys")


@require_http_methods(["GET", "POST"])
@never_cache
@organization_page(MANAGE)
def rotate_key(request: PageRequest, key_id: UUID) -> HttpResponse:
    """Replace a key by one with the same rights."""
    key = _key(request, key_id)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            successor, secret = rotate_api_key(
                key_id=key.id,
                organization_id=request.organization.id,
                overlap=form.overlap_time(),
                actor=_actor(request),
                at=timezone.now(),
            )
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return redirect("api_keys")
        key.refresh_from_db()
        return _secret_page(request, successor, secret, replaced=key)
    return render(request, "accounts/key_rotate.html", {"form": form, "key": key})


def _secret_page(request: PageRequest, key: ApiKey, secret: str, replaced: ApiKey | None = None) -> HttpResponse:
    context = {
        "key": key,
        "secret": secret,
        "old": replaced,
        "snippets": first_call(request, key.organization_id, secret),
    }
    return render(request, "accounts/key_secret.html", context)


def _key(request: PageRequest, key_id: UUID) -> ApiKey:
    keys = ApiKey.objects.select_related("organization", "member", "team")
    key = keys.filter(id=key_id, organization=request.organization).first()
    if key is None:
        raise Http404("No such API key.")
    return key


def _actor(request: PageRequest) -> Actor:
    return request.principal.as_actor
