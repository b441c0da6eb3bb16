"""A person's profile, and an organization's own settings."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.forms_people import OrganizationForm, ProfileForm
from accounts.models import User
from accounts.pages import PageRequest, organization_page
from accounts.scopes import ANY, MANAGE
from accounts.services import update_organization
from accounts.services.people import update_profile
from core.errors import DomainError


@require_http_methods(["GET", "POST"])
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Name and time zone of whoever is signed in."""
    person = cast(User, request.user)
    form = ProfileForm(request.POST or None, initial={"name": person.name, "time_zone": person.time_zone})
    if request.method == "POST" and form.is_valid():
        try:
            update_profile(user=person, **form.cleaned_data)
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            messages.success(request, _("Your profile is saved."))
            return redirect("profile")
    return render(request, "accounts/profile.html", {"form": form})


@require_http_methods(["GET", "POST"])
@organization_page(ANY)
def organization_settings(request: PageRequest) -> HttpResponse:
    """Name and time zone of the organization; who may not change them reads them."""
    organization = request.organization.live_organization or request.organization
    may_manage = request.principal.has_scope(MANAGE)
    form = OrganizationForm(
        request.POST or None, initial={"name": organization.name, "time_zone": organization.time_zone}
    )
    if request.method == "POST" and not may_manage:
        return render(request, "accounts/organization.html", {"form": form, "organization": organization}, status=403)
    if request.method == "POST" and form.is_valid():
        try:
            update_organization(
                organization_id=organization.id,
                actor=request.principal.as_actor,
                at=timezone.now(),
                **form.cleaned_data,
            )
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            messages.success(request, _("The settings are saved."))
            return redirect("organization_settings")
    context = {"form": form, "organization": organization, "may_manage": may_manage}
    return render(request, "accounts/organization.html", context)
