"""Forms of budgets."""

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ApiKey, Membership, Organization, Team
from core.errors import DomainError
from core.forms import PlainDecimalField, RefusableForm
from core.money import InvalidAmount, read_decimal
from metering.budgets.models import Budget, Enforcement, Period, Scope
from metering.price_book import listed_models
from metering.services.budgets import DEFAULT_THRESHOLDS, checked_thresholds

PERIOD_LABELS = {
    Period.DAILY: gettext_lazy("Each day"),
    Period.WEEKLY: gettext_lazy("Each week, from Monday"),
    Period.MONTHLY: gettext_lazy("Each month"),
    Period.TOTAL: gettext_lazy("In all, from now on"),
}
SCOPE_LABELS = {
    Scope.ORGANIZATION: gettext_lazy("Everything"),
    Scope.TEAM: gettext_lazy("A team"),
    Scope.MEMBER: gettext_lazy("A member"),
    Scope.API_KEY: gettext_lazy("An API key"),
    Scope.MODEL: gettext_lazy("A model"),
    Scope.TAG: gettext_lazy("A tag"),
}
_DEFAULT = ", ".join(f"{each.normalize():f}" for each in DEFAULT_THRESHOLDS)


class BudgetChangeForm(RefusableForm):
    """What can change of a budget."""

    name = forms.CharField(
        max_length=80, label=gettext_lazy("Name"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    period = forms.ChoiceField(label=gettext_lazy("How often it begins anew"))
    amount = PlainDecimalField(
        min_value=Decimal("1e-12"),
        max_digits=24,
        decimal_places=12,
        label=gettext_lazy("Amount in USD"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    enforcement = forms.ChoiceField(
        label=gettext_lazy("When it is used up"),
        choices=[
            (Enforcement.ALERT, gettext_lazy("Tell the owners and admins, and go on")),
            (Enforcement.BLOCK, gettext_lazy("Refuse calls that might not fit")),
        ],
        initial=Enforcement.ALERT,
        widget=forms.RadioSelect,
    )
    thresholds = forms.CharField(
        required=False,
        label=gettext_lazy("Tell at, in per cent"),
        help_text=gettext_lazy("Separated by commas. Each is told once in each period."),
        initial=_DEFAULT,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    max_prompt_tokens = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100_000_000,
        label=gettext_lazy("Longest prompt in tokens"),
        help_text=gettext_lazy("Longer prompts are refused, whatever is left. Empty: no limit."),
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, periods: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(value, PERIOD_LABELS[Period(value)]) for value in periods]
        self.fields["period"].choices = choices  # type: ignore[attr-defined]

    def clean_thresholds(self) -> list[Decimal]:
        """Numbers."""
        parts = self.cleaned_data["thresholds"].replace("%", " ").replace(";", ",").split(",")
        try:
            return checked_thresholds(read_decimal(part.strip()) for part in parts if part.strip())
        except InvalidAmount:
            raise forms.ValidationError(_("Write numbers separated by commas, such as 75, 90, 100.")) from None
        except DomainError as refusal:
            raise forms.ValidationError(refusal.detail) from None

    def values(self) -> dict[str, Any]:
        """The valid form for the services."""
        return dict(self.cleaned_data)


class BudgetForm(BudgetChangeForm):
    """A new budget of one scope."""

    field_order = ["name", "subject"]

    def __init__(self, *args: Any, scope: str, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope = scope
        field = _subject_field(scope, organization)
        if field is not None:
            self.fields["subject"] = field
        self.models = [model.id for model in listed_models()] if scope == Scope.MODEL else []
        self.order_fields(self.field_order)

    def values(self) -> dict[str, Any]:
        """With the scope and whose it is."""
        data = dict(self.cleaned_data)
        subject = data.pop("subject", "")
        if isinstance(subject, Team | Membership | ApiKey):
            subject = str(subject.pk)
        return {**data, "scope": self.scope, "subject": subject.strip()}


def change_form_of(budget: Budget, data: Any, periods: list[str]) -> BudgetChangeForm:
    """The form filled in as the budget is."""
    initial = {
        "name": budget.name,
        "period": budget.period,
        "amount": f"{budget.amount.normalize():f}",
        "enforcement": budget.enforcement,
        "thresholds": ", ".join(f"{each.normalize():f}" for each in budget.thresholds),
        "max_prompt_tokens": budget.max_prompt_tokens,
    }
    own = [] if budget.period in periods else [budget.period]
    return BudgetChangeForm(data, initial=initial, periods=[*periods, *own])


class _KeyField(forms.ModelChoiceField):
    def label_from_instance(self, key: Any) -> str:
        return f"{key.name} ({key.prefix}…{key.last_four})"


class _MemberField(forms.ModelChoiceField):
    def label_from_instance(self, member: Any) -> str:
        return str(member.user.name or member.user.email)


def _subject_field(scope: str, organization: Organization) -> forms.Field | None:
    live_id = organization.live_organization_id or organization.id
    match scope:
        case Scope.TEAM:
            teams = Team.objects.active().filter(organization_id=live_id).order_by("name")
            return forms.ModelChoiceField(
                teams, label=_("Team or department"), help_text=_("A department counts with all its teams.")
            )
        case Scope.MEMBER:
            people = (
                Membership.objects.filter(organization_id=live_id).select_related("user").order_by("created_at", "id")
            )
            return _MemberField(people, label=_("Member"))
        case Scope.API_KEY:
            keys = ApiKey.objects.filter(Q(revoked_at=None), organization=organization).order_by("name", "created_at")
            return _KeyField(keys, label=_("API key"), help_text=_("Keys that it is rotated to count with it."))
        case Scope.MODEL:
            return forms.CharField(
                label=_("Model"),
                help_text=_("An id such as openai/gpt-4o-mini, or author/* for all of one author."),
                widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "list": "models"}),
            )
        case Scope.TAG:
            return forms.CharField(
                label=_("Tag"),
                help_text=_("name=value, as calls carry it: feature=search."),
                widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
            )
    return None
