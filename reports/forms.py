"""Forms of reports."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.entitlements import SCHEDULED_REPORTS
from accounts.models import Membership, Organization, Team
from reports.models import Cadence, Format
from tiers.permits import included

_FORMAT_WORDS = {Format.PDF: _("PDF"), Format.CSV: _("CSV, for spreadsheets")}


class _MembersField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Membership) -> str:
        """The person's address."""
        return obj.user.email


def _members_of(organization: Organization) -> Any:
    return organization.memberships.select_related("user").order_by("user__email")


class RecipientsForm(forms.Form):
    """Who gets a report."""

    members = _MembersField(Membership.objects.none(), label=_("Send it to"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["members"].queryset = _members_of(organization)  # type: ignore[attr-defined]

    def ids(self) -> list[Any]:
        """The chosen members."""
        return [member.id for member in self.cleaned_data["members"]]


class ReportForm(RecipientsForm):
    """A report to send. Only what the plan includes is offered."""

    team = forms.ModelChoiceField(
        Team.objects.none(), required=False, label=_("About"), empty_label=_("The whole organization")
    )
    cadence = forms.ChoiceField(
        label=_("How often"),
        choices=[(Cadence.WEEKLY, _("Every Monday")), (Cadence.MONTHLY, _("On the first of the month"))],
        widget=forms.RadioSelect,
        initial=Cadence.WEEKLY,
    )
    format = forms.ChoiceField(label=_("With the figures as"))
    field_order = ["team", "cadence", "format", "members"]

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, organization=organization, **kwargs)
        teams: Any = self.fields["team"]
        teams.queryset = organization.teams.active().order_by("name")
        formats: Any = self.fields["format"]
        offered = included(organization.id, SCHEDULED_REPORTS, [each.value for each in Format])
        formats.choices = [(each.value, words) for each, words in _FORMAT_WORDS.items() if each.value in offered]

    def wish(self) -> dict[str, Any]:
        """The valid form in the words of the service."""
        data = self.cleaned_data
        team = data["team"]
        return {
            "team_id": team.id if team else None,
            "cadence": data["cadence"],
            "format": data["format"],
            "member_ids": self.ids(),
        }
