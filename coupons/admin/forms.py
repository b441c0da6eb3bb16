"""What an operator fills in to make, limit or end coupons. Whether it fits is decided by the services."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.forms import BoundField

from accounts.models import Mode
from accounts.principal import Actor
from core.admin import MomentInput
from core.errors import DomainError
from core.forms import PlainDecimalField, reason_field
from core.ids import uuid7
from core.money import USD_DIGITS, USD_PLACES, USD_STEP
from coupons import services
from coupons.models import AppliesTo, Coupon, CouponBatch, Kind
from coupons.services.creating import LARGEST_BATCH
from coupons.terms import Limits, Terms
from tiers.models import Tier

_EFFECTS: dict[str, tuple[str, ...]] = {
    Kind.BONUS: ("amount", "credit_days"),
    Kind.PERCENT: ("percent", "applies_to", "periods"),
    Kind.FREE_PERIOD: ("periods",),
    Kind.TIER: ("tier", "periods"),
}
_LIMITS = ("max_uses", "max_uses_per_organization", "starts_at", "ends_at", "tiers", "first_purchase_only")
_PERIODS = {
    Kind.PERCENT: ("Number of payments", "Empty: every payment to come."),
    Kind.FREE_PERIOD: ("Months", "The next payments for a plan that cost nothing."),
    Kind.TIER: ("Months", "Full months; the rest of the month in which it is redeemed comes on top."),
}


def _moment(label: str, **options: Any) -> forms.DateTimeField:
    return forms.DateTimeField(required=False, label=f"{label} (UTC)", widget=MomentInput, **options)


def _count(label: str, help_text: str = "", **options: Any) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=1, label=label, help_text=help_text, **options)


class GroupedForm(forms.Form):
    """A form in titled groups, with what a service refused beside the fields that it is about."""

    groups: ClassVar[list[tuple[str, tuple[str, ...]]]] = []

    def grouped(self) -> Iterator[tuple[str, list[BoundField]]]:
        """Titles with their fields."""
        for title, names in self.groups:
            yield title, [self[name] for name in names if name in self.fields]

    def add_refusal(self, refusal: DomainError) -> None:
        """Show why nothing was done."""
        for error in refusal.facts.get("errors", ()):
            name = {"tier_slug": "tier"}.get(error["field"], error["field"])
            self.add_error(name if name in self.fields else None, error["detail"])
        if not self.errors:
            self.add_error(None, refusal.detail)


class LimitsForm(GroupedForm):
    """Who may redeem it, how often and when."""

    max_uses = _count("Uses in all", "Empty: no limit.")
    max_uses_per_organization = _count("Uses per organization", "Empty: no limit.", initial=1)
    starts_at = _moment("Starts", help_text="Empty: at once.")
    ends_at = _moment("Ends", help_text="Empty: never.")
    tiers = forms.MultipleChoiceField(
        required=False,
        label="Only on these tiers",
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all.",
    )
    first_purchase_only = forms.BooleanField(
        required=False, label="Only for organizations that have bought nothing yet"
    )
    reason = reason_field()
    groups = [("Limits", _LIMITS), ("For operators", ("reason",))]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tiers = list(Tier.objects.current().order_by("position", "slug").values_list("slug", "name"))
        self._default = Tier.objects.default()
        if not self._tiers:
            del self.fields["tiers"]
        else:
            self.fields["tiers"].choices = self._tiers  # type: ignore[attr-defined]

    def limits(self) -> Limits:
        """The valid form's."""
        data = self.cleaned_data
        values = {name: data[name] for name in _LIMITS if name in data}
        return Limits(**{**values, "tiers": tuple(data.get("tiers", ()))})


class NewCouponForm(LimitsForm):
    """A coupon of one type: only the fields that it has."""

    code = forms.CharField(required=False, max_length=40, help_text="Empty: an unguessable one is drawn.")
    amount = PlainDecimalField(
        min_value=USD_STEP, max_digits=USD_DIGITS, decimal_places=USD_PLACES, label="Credit in USD"
    )
    credit_days = _count("Days until the credit expires", "Empty: it does not.")
    percent = PlainDecimalField(
        min_value=Decimal("0.01"), max_value=100, max_digits=5, decimal_places=2, label="Per cent off"
    )
    applies_to = forms.ChoiceField(choices=AppliesTo, initial=AppliesTo.ANY, label="Off what")
    tier = forms.ChoiceField(label="Tier that is lent")
    periods = _count("Months")
    partner = forms.CharField(
        required=False, max_length=80, help_text="Whose code it is, for partner codes; statistics are kept by it."
    )
    mode = forms.ChoiceField(choices=Mode, initial=Mode.LIVE, label="Books", help_text="Whose organizations redeem it.")
    groups = [
        ("The code", ("code", "prefix", "count", "partner", "mode")),
        ("What it gives", ("amount", "credit_days", "percent", "applies_to", "tier", "periods")),
        ("Limits", _LIMITS),
        ("For operators", ("reason",)),
    ]

    def __init__(self, *args: Any, kind: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kind = Kind(kind)
        for name in {name for names in _EFFECTS.values() for name in names} - set(_EFFECTS[kind]):
            del self.fields[name]
        if "periods" in self.fields:
            field = self.fields["periods"]
            field.label, field.help_text = _PERIODS[self.kind]
            field.required, field.initial = self.kind != Kind.PERCENT, 1
        if "tier" in self.fields:
            # Everybody has the default tier: nobody can be lent it.
            base = self._default.slug if self._default else ""
            self.fields["tier"].choices = [each for each in self._tiers if each[0] != base]  # type: ignore[attr-defined]

    def terms(self) -> Terms:
        """The valid form's."""
        data = self.cleaned_data
        fields: dict[str, Any] = {name: data.get(name) for name in _EFFECTS[self.kind]}
        if "tier" in fields:
            fields["tier_slug"] = fields.pop("tier")
        fields |= {"partner": data["partner"], "note": data["reason"]}
        return Terms(kind=self.kind.value, limits=self.limits(), **fields)

    def make(self, *, actor: Actor, at: datetime) -> Coupon | CouponBatch:
        """Call the service. Raises what it raises."""
        data = self.cleaned_data
        return services.create_coupon(
            code=data["code"] or None, terms=self.terms(), mode=data["mode"], actor=actor, at=at
        )


class NewBatchForm(NewCouponForm):
    """Many codes at once. ``batch_id`` makes a form that is sent twice make one batch."""

    prefix = forms.CharField(  # type: ignore[assignment]  # a field, kept apart from the form's own prefix
        required=False, max_length=20, help_text="What every code begins with. Empty: nothing."
    )
    count = forms.IntegerField(
        min_value=1, max_value=LARGEST_BATCH, label="Number of codes", help_text=f"At most {LARGEST_BATCH:,}."
    )
    batch_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid7)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.fields["code"]
        self.fields["max_uses"].label, self.fields["max_uses"].initial = "Uses of each code", 1
        self.fields["max_uses_per_organization"].help_text = "Over all these codes together. Empty: no limit."

    def make(self, *, actor: Actor, at: datetime) -> Coupon | CouponBatch:
        """Call the service. Raises what it raises."""
        data = self.cleaned_data
        batch_id: UUID = data["batch_id"]
        return services.generate_batch(
            prefix=data["prefix"],
            count=data["count"],
            terms=self.terms(),
            mode=data["mode"],
            actor=actor,
            at=at,
            batch_id=batch_id,
        )


class ReasonForm(GroupedForm):
    """Why."""

    reason = reason_field()
    groups = [("", ("reason",))]
