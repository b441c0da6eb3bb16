"""Forms of people and organizations."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.abilities import ROLE_WORDS, ROLES
from accounts.models import Membership, Role

_LONGEST_NAME = 120


def zone_choices() -> list[tuple[str, str]]:
    """Every time zone, UTC first."""
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix/")))
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in names)]


class ProfileForm(forms.Form):
    """What a person says of themselves."""

    name = forms.CharField(
        required=False,
        max_length=150,
        help_text=_("Your colleagues see it. Empty: they see your address."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    time_zone = forms.ChoiceField(label=_("Time zone"), help_text=_("Pages show times in it."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = zone_choices()  # type: ignore[attr-defined]


class OrganizationForm(forms.Form):
    """An organization's own settings."""

    name = forms.CharField(
        max_length=_LONGEST_NAME,
        help_text=_("On pages, statements and in e-mails."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"), help_text=_("Where its days and months begin: in charts, sums and statements.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = zone_choices()  # type: ignore[attr-defined]


class RoleField(forms.ChoiceField):
    """Roles that a member may hand out, each with what it means."""

    def __init__(self, *, by: Membership | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.RadioSelect)
        super().__init__(**kwargs)
        self.offer(by)

    def offer(self, by: Membership | None) -> None:
        """Only owners make owners."""
        roles = [role for role in ROLES if role != Role.OWNER or (by is not None and by.role == Role.OWNER)]
        self.choices = [(role.value, f"{role.label}: {ROLE_WORDS[role]}") for role in roles]


class InvitationForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label=_("E-mail address"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = RoleField(label=_("Role"), initial=Role.MEMBER)

    def __init__(self, *args: Any, by: Membership | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].offer(by)  # type: ignore[attr-defined]


class RoleForm(forms.Form):
    """Another role for a member."""

    role = RoleField(label=_("Role"))

    def __init__(self, *args: Any, by: Membership | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].offer(by)  # type: ignore[attr-defined]
