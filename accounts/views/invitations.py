"""The page behind the link of an invitation: for whoever has it, signed in or not, with an account or without."""

from typing import cast

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.addresses import address_of_request
from accounts.errors import AlreadyMember, InvitationNotOpen, WrongInvitee
from accounts.models import Invitation, User
from accounts.ratelimits import take
from accounts.ratelimits.policy import anonymous_buckets
from accounts.selection import select_organization
from accounts.services import accept_invitation
from accounts.services.invitations import invitation_of, is_for


@require_http_methods(["GET", "POST"])
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the invitation is to, and accept it."""
    if not take(anonymous_buckets(address_of_request(request))).admitted:
        return render(request, "accounts/invitation_over.html", {"too_many": True}, status=429)
    now = timezone.now()
    try:
        found = invitation_of(token, now)
    except InvitationNotOpen:
        return render(request, "accounts/invitation_over.html", status=404)
    if request.method == "POST":
        return _accept(request, found, token)
    context = {"invitation": found, "here": request.path, "is_mine": False}
    if request.user.is_authenticated:
        context["is_mine"] = is_for(found, cast(User, request.user))
    else:
        # The link came to this address: whoever signs up with it need not confirm it once more.
        get_adapter().stash_verified_email(request, found.email)
    return render(request, "accounts/invitation.html", context)


def _accept(request: HttpRequest, found: Invitation, token: str) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect_to_login(request.path)
    try:
        accept_invitation(token=token, user=cast(User, request.user), at=timezone.now())
    except WrongInvitee:
        return redirect("invitation", token)
    except AlreadyMember:
        messages.info(request, _("You belong to {organization} already.").format(organization=found.organization.name))
    except InvitationNotOpen:
        return render(request, "accounts/invitation_over.html", status=404)
    else:
        messages.success(request, _("Welcome to {organization}.").format(organization=found.organization.name))
    select_organization(request, organization_id=found.organization_id)
    return redirect("dashboard")
