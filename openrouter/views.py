"""Pages of an organization's OpenRouter account and of its own key."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import PageRequest, organization_page, part_of
from accounts.scopes import MANAGE, Scope
from core.errors import DomainError
from openrouter import services
from openrouter.account_page import account_page, status_of
from openrouter.client import ProviderError
from openrouter.errors import ByokNotAllowed
from openrouter.models import AccountStatus, ByokCredential, Owed
from openrouter.upstreams import manageable_modes

_NO_NEWS = 204


class OwnKeyForm(forms.Form):
    """An OpenRouter key of the organization's own. It is never shown again, not even after a refusal."""

    key = forms.CharField(
        max_length=250,
        label=gettext_lazy("OpenRouter key"),
        help_text=gettext_lazy("It starts with sk-or-. It is checked with OpenRouter, stored encrypted, never shown."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


@require_safe
@organization_page(Scope.CREDITS_READ)
def account(request: PageRequest) -> HttpResponse:
    """The sub-key as of the last sync, and the own key."""
    return _page(request, OwnKeyForm())


@require_safe
@organization_page(Scope.CREDITS_READ)
@part_of("provider_account")
def account_status(request: PageRequest) -> HttpResponse:
    """Where the account stands, if that has changed since the page last asked."""
    status = status_of(request.organization)
    if request.GET.get("seen") == status.kind and status.is_moving:
        return HttpResponse(status=_NO_NEWS)
    response = render(request, "openrouter/_status.html", {"status": status})
    if not status.is_moving:
        response["HX-Trigger"] = "provider-settled"
    return response


@require_POST
@organization_page(MANAGE)
def create_account(request: PageRequest) -> HttpResponse:
    """Ask for the account, or for another try."""
    organization, at = request.organization, timezone.now()
    try:
        made = services.request_account(organization_id=organization.id, actor=request.principal.as_actor, at=at)
    except DomainError as refusal:
        return _back(request, refusal)
    if made.status == AccountStatus.DISABLED:
        messages.error(request, _("The operator has suspended the account. Ask the operator why."))
    elif made.owed != Owed.NOTHING and organization.mode in manageable_modes():
        services.advance_account(account_id=made.id, at=timezone.now())
    return redirect("provider_account")


@require_POST
@organization_page(MANAGE)
def sync_account(request: PageRequest) -> HttpResponse:
    """Read OpenRouter's figures now."""
    try:
        services.sync_account(organization_id=request.organization.id, at=timezone.now())
    except DomainError as refusal:
        return _back(request, refusal)
    messages.success(request, _("These are OpenRouter’s figures of this moment."))
    return redirect("provider_account")


@require_POST
@organization_page(MANAGE)
def delete_account(request: PageRequest) -> HttpResponse:
    """Give the sub-key back."""
    at = timezone.now()
    try:
        gone = services.delete_account(organization_id=request.organization.id, actor=request.principal.as_actor, at=at)
    except DomainError as refusal:
        return _back(request, refusal)
    services.delete_retired_keys(at=timezone.now(), account_id=gone.id)
    messages.success(request, _("The account is deleted. Your credit stays."))
    return redirect("provider_account")


@sensitive_post_parameters("key")
@require_POST
@never_cache
@organization_page(MANAGE)
def store_own_key(request: PageRequest) -> HttpResponse:
    """Check a key with OpenRouter and use it from now on."""
    form = OwnKeyForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=400)
    try:
        services.store_byok(
            organization_id=request.organization.id,
            secret=form.cleaned_data["key"],
            actor=request.principal.as_actor,
            at=timezone.now(),
        )
    except ByokNotAllowed as refusal:
        messages.warning(request, refusal.detail)
        return redirect("provider_account")
    except DomainError as refusal:
        form.add_error("key", refusal.detail)
        return _page(request, form, status=refusal.status)
    messages.success(request, _("OpenRouter accepts the key. Calls use it from now on and cost no credit."))
    return redirect("provider_account")


@require_POST
@organization_page(MANAGE)
def check_own_key(request: PageRequest) -> HttpResponse:
    """Ask OpenRouter once more whether the key is good."""
    credential = ByokCredential.objects.select_related("organization").filter(organization=request.organization).first()
    if credential is not None:
        try:
            is_good = services.verify_byok(credential=credential, at=timezone.now())
        except ProviderError:
            messages.error(request, _("OpenRouter cannot be reached at the moment. Try again."))
        except DomainError as refusal:
            messages.error(request, refusal.detail)
        else:
            said = _("OpenRouter accepts the key.") if is_good else _("OpenRouter refuses the key: replace it.")
            (messages.success if is_good else messages.error)(request, said)
    return redirect("provider_account")


@require_POST
@organization_page(MANAGE)
def remove_own_key(request: PageRequest) -> HttpResponse:
    """Forget the key."""
    try:
        services.remove_byok(
            organization_id=request.organization.id, actor=request.principal.as_actor, at=timezone.now()
        )
    except DomainError as refusal:
        return _back(request, refusal)
    messages.success(request, _("The key is forgotten. Calls use your credit again."))
    return redirect("provider_account")


def _page(request: PageRequest, form: OwnKeyForm, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "page": account_page(request.organization),
        "form": form,
        "may_manage": request.principal.has_scope(MANAGE),
    }
    return render(request, "openrouter/account.html", context, status=status)


def _back(request: PageRequest, refusal: DomainError) -> HttpResponse:
    messages.error(request, refusal.detail)
    return redirect("provider_account")
