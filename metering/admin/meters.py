"""Operators' pages for meters: their own, for tiers, and what organizations have defined."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from core.admin import ServiceAdmin
from metering.errors import InvalidMeter
from metering.meters.grammar import FUNCTIONS, parse_aggregation, parse_filter
from metering.meters.models import Meter
from metering.services import create_meter, update_meter

_EVERYTHING = {"conjunction": "and", "clauses": []}


class MeterForm(forms.ModelForm):
    """A meter of the operator's own; the definition is checked as the API checks it."""

    func = forms.ChoiceField(choices=[(name, name) for name in FUNCTIONS], label="Aggregation")
    property = forms.CharField(
        max_length=200,
        required=False,
        help_text="What is aggregated, for example event.total_tokens; count needs none.",
    )

    class Meta:
        model = Meter
        fields = ["name", "unit", "filter"]
        help_texts = {"filter": "Conjunction and clauses; see the description of meters in the documentation."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "filter" in self.fields:
            self.fields["filter"].initial = _EVERYTHING
        if self.instance.pk and self.instance.aggregation and "func" in self.fields:
            self.fields["func"].initial = self.instance.aggregation["func"]
            self.fields["property"].initial = self.instance.aggregation.get("property", "")

    def clean(self) -> dict[str, Any]:
        """The definition, or what is wrong with it beside its field."""
        data = super().clean() or {}
        if "func" not in self.fields:
            return data
        named = {"property": data["property"]} if data.get("property") else {}
        data["aggregation"] = {"func": data.get("func"), **named}
        for field, check, value in (
            ("filter", parse_filter, data.get("filter")),
            ("property", parse_aggregation, data["aggregation"]),
        ):
            try:
                check(value)
            except InvalidMeter as refusal:
                self.add_error(field, refusal.detail)
        return data


class _OwnerFilter(admin.SimpleListFilter):
    title, parameter_name = "owner", "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Ours, or an organization's."""
        return [("own", "Our own"), ("organizations", "Organizations’")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Meter]) -> QuerySet[Meter]:
        """Those of the chosen owner."""
        return queryset if self.value() is None else queryset.filter(organization__isnull=self.value() == "own")


@admin.register(Meter)
class MeterAdmin(ServiceAdmin):
    """Meters. Those of organizations are theirs to change; they can be looked at."""

    form = MeterForm
    list_display = ["name", "owner", "aggregation_words", "unit", "is_live", "created_at"]
    list_filter = [_OwnerFilter, ("archived_at", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["name"]
    search_help_text = "Part of a meter’s name."
    actions = ["archive", "bring_back"]

    @admin.display(description="Owner")
    def owner(self, meter: Meter) -> str:
        """Whose meter it is."""
        return str(meter.organization) if meter.organization else "Our own"

    @admin.display(description="Aggregation")
    def aggregation_words(self, meter: Meter) -> str:
        """``sum of totalTokens``."""
        named = meter.aggregation.get("property")
        return f"{meter.aggregation['func']} of {named}" if named else str(meter.aggregation["func"])

    @admin.display(description="In use", boolean=True)
    def is_live(self, meter: Meter) -> bool:
        """Whether it has not been archived."""
        return meter.archived_at is None

    def has_change_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        """An organization's meters are its own."""
        return super().has_change_permission(request, obj) and (obj is None or obj.organization_id is None)

    def has_delete_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        """Never: meters are archived."""
        return False

    def save_model(self, request: HttpRequest, obj: Meter, form: Any, change: bool) -> None:
        """Through the service, which refuses to change what has been counted."""
        data: dict[str, Any] = {name: form.cleaned_data[name] for name in ("name", "unit", "filter", "aggregation")}
        who, at = str(request.user), timezone.now()
        if change:
            update_meter(organization_id=None, meter_id=obj.pk, actor=who, at=at, **data)
        else:
            obj.pk = create_meter(organization_id=None, actor=who, at=at, **data).pk

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, meters: QuerySet[Meter]) -> None:
        """Offer them no longer; what they counted can still be asked."""
        self._archive(request, meters, True)

    @admin.action(description="Bring back", permissions=["change"])
    def bring_back(self, request: HttpRequest, meters: QuerySet[Meter]) -> None:
        """Offer them again."""
        self._archive(request, meters, False)

    def _archive(self, request: HttpRequest, meters: QuerySet[Meter], is_archived: bool) -> None:
        for meter in meters.filter(organization=None):
            who, at = str(request.user), timezone.now()
            update_meter(organization_id=None, meter_id=meter.pk, is_archived=is_archived, actor=who, at=at)
