"""Operators' pages for looking at an organization as one of its members."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.impersonation import PERMISSION, SESSION_KEY
from accounts.models import Impersonation, Membership, Organization, User
from core.action_page import action_page
from core.admin import LargeTableAdmin


@admin.register(Impersonation)
class ImpersonationAdmin(LargeTableAdmin):
    """Which operator looked as whom, at what, why and when."""

    list_display = ["started_at", "operator", "person", "organization", "reason", "ended_at"]
    list_select_related = ["operator", "person", "organization"]
    search_fields = ["operator__email", "person__email", "organization__name", "=organization__id", "reason"]
    date_hierarchy = "started_at"


class _MemberField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        """Who it is, and what they may do."""
        return f"{obj.user.email} ({obj.get_role_display().lower()})"


class ImpersonateForm(forms.Form):
    """As whom, and why."""

    member = _MemberField(Membership.objects.none(), empty_label=None, help_text="You see what they see.")
    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        help_text="Kept with your name, and on the organization's timeline.",
    )

    def __init__(self, data: Any, members: QuerySet[Membership]) -> None:
        super().__init__(data)
        cast(forms.ModelChoiceField, self.fields["member"]).queryset = members


def impersonate(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Ask as whom and why; then lead to the organization's pages."""
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise Http404("No such organization.")
    form = ImpersonateForm(request.POST or None, _members_of(organization))

    def work() -> str:
        person = form.cleaned_data["member"].user
        started = services.start_impersonation(
            operator=cast(User, request.user),
            person=person,
            organization_id=organization_id,
            reason=form.cleaned_data["reason"],
            at=timezone.now(),
        )
        request.session[SESSION_KEY] = str(started.pk)
        return f"For an hour you see what {person.email} sees."

    return action_page(
        request,
        organization,
        form,
        title="Look as a member",
        lead="For an hour you see this organization's pages as the member sees them. Nothing can be changed, and the "
        "pages of their sign-in stay closed. The back office stays open beside it.",
        work=work,
        facts={},
        then=reverse("dashboard"),
        permission=PERMISSION,
    )


def _members_of(organization: Organization) -> QuerySet[Membership]:
    members = Membership.objects.filter(organization_id=organization.live_organization_id or organization.pk)
    looked_as = members.filter(user__in=User.objects.impersonable())
    return looked_as.select_related("user").order_by("created_at", "id")
