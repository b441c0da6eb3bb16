"""Who belongs to an organization: members, their roles, and who is invited."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services
from accounts.abilities import ROLES, abilities
from accounts.forms_people import InvitationForm, RoleForm
from accounts.models import Invitation, Membership, Organization, Role
from accounts.pages import PageRequest, organization_page, place_of
from accounts.scopes import ANY, MANAGE
from accounts.services.invitations import Inviter, stands
from core.errors import DomainError


@require_http_methods(["GET"])
@organization_page(ANY)
def team(request: PageRequest) -> HttpResponse:
    """Members and invitations."""
    return _team_page(request, InvitationForm(by=_me(request)))


@require_POST
@organization_page(MANAGE)
def invite(request: PageRequest) -> HttpResponse:
    """Write to somebody that they may join."""
    form = InvitationForm(request.POST, by=_me(request))
    if not form.is_valid():
        return _team_page(request, form, status=400)
    try:
        invitation = services.invite(
            organization_id=_live(request).id, by=_inviter(request), at=timezone.now(), **form.cleaned_data
        )
    except DomainError as refusal:
        form.add_error("email", refusal.detail)
        return _team_page(request, form, status=refusal.status)
    messages.success(request, _("An invitation is on its way to {email}.").format(email=invitation.email))
    return redirect("team")


@require_POST
@organization_page(MANAGE)
def resend(request: PageRequest, invitation_id: UUID) -> HttpResponse:
    """Write once more; the link before stops working."""
    done = _("It is on its way once more.")
    return _change(request, services.resend_invitation, done, invitation_id=invitation_id, by=_inviter(request))


@require_POST
@organization_page(MANAGE)
def revoke(request: PageRequest, invitation_id: UUID) -> HttpResponse:
    """Take an invitation back."""
    done = _("The invitation is taken back; its link is dead.")
    return _change(request, services.revoke_invitation, done, invitation_id=invitation_id, by=_inviter(request))


@require_http_methods(["GET", "POST"])
@organization_page(MANAGE)
def member(request: PageRequest, membership_id: UUID) -> HttpResponse:
    """One member: another role, and the ways out."""
    membership = _member(request, membership_id)
    form = RoleForm(request.POST or None, by=_me(request), initial={"role": membership.role})
    if request.method == "POST" and form.is_valid():
        role = form.cleaned_data["role"]
        done = _("{who} is now {role}.").format(who=_name(membership), role=Role(role).label)
        return _change(request, services.change_role, done, membership_id=membership.id, role=role, **_who(request))
    me = _me(request)
    context = {
        "membership": membership,
        "form": form,
        "is_me": me is not None and me.id == membership.id,
        "may_pass_on": me is not None and me.role == Role.OWNER and me.id != membership.id,
        "is_out_of_reach": membership.role == Role.OWNER and (me is None or me.role != Role.OWNER),
    }
    return render(request, "accounts/member.html", context)


@require_POST
@organization_page(MANAGE)
def remove(request: PageRequest, membership_id: UUID) -> HttpResponse:
    """Take a member out."""
    membership = _member(request, membership_id)
    done = _("{who} is out; keys bound to them are revoked.").format(who=_name(membership))
    return _change(request, services.remove_member, done, membership_id=membership.id, **_who(request))


@require_POST
@organization_page(MANAGE)
def pass_on(request: PageRequest, membership_id: UUID) -> HttpResponse:
    """Make a member owner in one's own place."""
    membership = _member(request, membership_id)
    done = _("{who} is the owner now, and you are an admin.").format(who=_name(membership))
    actor = request.principal.as_actor
    return _change(
        request, services.transfer_ownership, done, membership_id=membership.id, from_user=request.user, actor=actor
    )


@require_POST
@organization_page(ANY)
def leave(request: PageRequest) -> HttpResponse:
    """Go of one's own will."""
    organization = _live(request)
    done = _("You have left {organization}.").format(organization=organization.name)
    return _change(request, services.leave, done, then="home", user=request.user, actor=request.principal.as_actor)


def _team_page(request: PageRequest, form: InvitationForm, status: int = 200) -> HttpResponse:
    live, now = _live(request), timezone.now()
    memberships = live.memberships.select_related("user", "team").order_by("created_at", "id")
    may_manage = request.principal.has_scope(MANAGE)
    context = {
        "memberships": memberships,
        "me": _me(request),
        "may_manage": may_manage,
        **(_invitations(live, now) if may_manage else {}),
        "form": form,
        "roles": ROLES,
        "abilities": abilities(),
        "now": now,
    }
    return render(request, "accounts/team.html", context, status=status)


def _invitations(live: Organization, now: datetime) -> dict[str, list[Invitation]]:
    """Those that people can accept, and those that are over and can be sent again."""
    shown = list(live.invitations.in_sight(now).order_by("-sent_at"))
    return {
        "invitations": [each for each in shown if stands(each, now)],
        "over": [each for each in shown if not stands(each, now)],
    }


def _change(
    request: PageRequest, service: Callable[..., Any], done: str, *, then: str = "team", **facts: Any
) -> HttpResponse:
    """Carry a change out and say so, or why not."""
    try:
        service(organization_id=_live(request).id, at=timezone.now(), **facts)
    except DomainError as refusal:
        if refusal.status == 404:
            raise Http404(refusal.detail) from None
        messages.error(request, refusal.detail)
        return redirect("team")
    messages.success(request, done)
    return redirect(then)


def _live(request: PageRequest) -> Organization:
    return request.organization.live_organization or request.organization


def _me(request: PageRequest) -> Membership | None:
    place = place_of(request)
    return None if place is None else place[1]


def _who(request: PageRequest) -> dict[str, Any]:
    return {"actor": request.principal.as_actor, "by": _me(request)}


def _inviter(request: PageRequest) -> Inviter:
    return Inviter(request.principal.as_actor, request.user, _me(request))  # type: ignore[arg-type]


def _member(request: PageRequest, membership_id: UUID) -> Membership:
    found = _live(request).memberships.select_related("user").filter(id=membership_id).first()
    if found is None:
        raise Http404("No such member.")
    return found


def _name(membership: Membership) -> str:
    return membership.user.name or membership.user.email
