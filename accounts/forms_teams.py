"""Forms of teams."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Membership, Organization, Team
from accounts.services.teams import keys_of
from core.errors import DomainError


class TeamForm(forms.Form):
    """A team's name, and the department that it stands in."""

    name = forms.CharField(max_length=80, label=_("Name"), widget=forms.TextInput(attrs={"autocomplete": "off"}))
    department = forms.ModelChoiceField(
        Team.objects.none(),
        required=False,
        label=_("Department"),
        empty_label=_("None"),
        help_text=_("A department’s figures include those of its teams."),
    )

    def __init__(self, *args: Any, live: Organization, team: Team | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        above = live.teams.active().filter(department__isnull=True).order_by("name")
        if team is not None:
            above = above.exclude(id=team.id)
        self.fields["department"].queryset = above  # type: ignore[attr-defined]

    def wish(self) -> dict[str, Any]:
        """The valid form in the words of the services."""
        department = self.cleaned_data["department"]
        return {"name": self.cleaned_data["name"], "department_id": department.id if department else None}

    def add_refusal(self, refusal: DomainError) -> None:
        """Show a service's refusal beside the name."""
        self.add_error("name", refusal.detail)


class TeamMembersForm(forms.Form):
    """Who and which keys are in a team."""

    members = forms.ModelMultipleChoiceField(
        Membership.objects.none(), required=False, label=_("Members"), widget=forms.CheckboxSelectMultiple
    )
    keys = forms.ModelMultipleChoiceField(
        ApiKey.objects.none(),
        required=False,
        label=_("API keys"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("A key in a team counts for it, whoever its member is. Other keys count for their member’s team."),
    )

    def __init__(self, *args: Any, live: Organization, team: Team, **kwargs: Any) -> None:
        members = live.memberships.select_related("user", "team").order_by("user__email")
        working = keys_of(live).usable(timezone.now())
        keys = working.select_related("team", "organization").order_by("name", "created_at")
        kwargs["initial"] = {"members": members.filter(team=team), "keys": keys.filter(team=team)}
        super().__init__(*args, **kwargs)
        self.fields["members"] = _Chosen(members, team, self.fields["members"])
        self.fields["keys"] = _Chosen(keys, team, self.fields["keys"])

    def ids(self, name: str) -> list[Any]:
        """The chosen ones."""
        return [each.id for each in self.cleaned_data[name]]


class _Chosen(forms.ModelMultipleChoiceField):
    """A choice that says where each stands now."""

    def __init__(self, queryset: Any, team: Team, like: forms.Field) -> None:
        super().__init__(
            queryset, required=False, label=like.label, help_text=like.help_text, widget=forms.CheckboxSelectMultiple
        )
        self._team = team

    def label_from_instance(self, obj: Any) -> str:
        """Name, and the other team that it would leave."""
        names: Iterable[str] = (obj.user.email,) if isinstance(obj, Membership) else (obj.name, obj.prefix + "…")
        text = " · ".join(names)
        elsewhere = obj.team if obj.team_id not in (None, self._team.id) else None
        return _("%(who)s (now in %(team)s)") % {"who": text, "team": elsewhere.name} if elsewhere else text
