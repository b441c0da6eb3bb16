"""What operators may do with a subscription: a form for each, carried out by one service."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms

from accounts.principal import Actor
from core.forms import reason_field
from core.times import day_of
from tiers import services
from tiers.models import BYOK, MANAGED, Collection, Subscription, SubscriptionStatus, Tier
from tiers.planning import SwitchPreview

_OPTIONS = [("", "The usual one"), (MANAGED, "Credit"), (BYOK, "Own OpenRouter key")]


class NewSubscriptionForm(forms.ModelForm):
    """Puts an organization on a tier."""

    option = forms.ChoiceField(choices=_OPTIONS, required=False)
    reason = reason_field()

    class Meta:
        model = Subscription
        fields = ["organization", "tier", "option"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tier" in self.fields:
            self.fields["tier"].help_text = "From now on, without a charge; later months bring their credit."


class Act(forms.Form):
    """One thing to do with a subscription, and why."""

    label: ClassVar[str]
    explanation: ClassVar[str]
    has_preview: ClassVar[bool] = False

    reason = reason_field()
    field_order = ["tier", "option", "days", "collection", "when", "reason"]

    def __init__(self, *args: Any, subscription: Subscription, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subscription = subscription
        if "tier" in self.fields:
            current = Tier.objects.current().order_by("catalogue", "position", "slug")
            self.fields["tier"].choices = [  # type: ignore[attr-defined]
                (tier.slug, f"{tier.name} ({tier.slug})") for tier in current
            ]

    @classmethod
    def fits(cls, subscription: Subscription) -> bool:
        """Whether it makes sense now."""
        return True

    def run(self, *, actor: Actor, at: datetime) -> str:
        """Do it; what to tell the operator. Raises DomainError."""
        raise NotImplementedError

    def preview(self, *, at: datetime) -> SwitchPreview:
        """What it would do. Raises DomainError."""
        raise NotImplementedError

    def said(self, actor: Actor, at: datetime) -> dict[str, Any]:
        """Whom it is about, who does it, when and why."""
        return {
            "organization_id": self.subscription.organization_id,
            "actor": actor,
            "at": at,
            "reason": self.cleaned_data["reason"],
        }

    def asked(self) -> dict[str, Any]:
        """Tier and option."""
        return {"tier_slug": self.cleaned_data["tier"], "option": self.cleaned_data["option"] or None}


class Switch(Act):
    """As if the customer did it."""

    label = "Switch as the customer would"
    explanation = (
        "A better tier begins when the difference for the rest of the month is paid, or at once for who is invoiced; "
        "a lesser one begins when the month ends. Choosing the present tier takes a scheduled change back."
    )
    has_preview = True
    tier = forms.ChoiceField()
    option = forms.ChoiceField(choices=_OPTIONS, required=False)

    def preview(self, *, at: datetime) -> SwitchPreview:
        """Cost, credit and date."""
        return services.preview_switch(organization_id=self.subscription.organization_id, at=at, **self.asked())

    def run(self, *, actor: Actor, at: datetime) -> str:
        """The switch itself."""
        outcome = services.switch_tier(**self.said(actor, at), **self.asked())
        return f"Switch to {outcome.change.to_tier.name}: {outcome.change.get_status_display().lower()}."


class Give(Act):
    """Without a charge."""

    label = "Put on a tier without a charge"
    explanation = (
        "The tier begins now; nothing is charged for this month. Later months are paid for as before: for who comes "
        "from a free tier that means not at all. Credit comes with the next month."
    )
    tier = forms.ChoiceField()
    option = forms.ChoiceField(choices=_OPTIONS, required=False)

    def run(self, *, actor: Actor, at: datetime) -> str:
        """The tier from now on."""
        made = services.subscribe(**self.said(actor, at), **self.asked())
        return f"{made.organization} is on {made.tier.name} now."


class Trial(Act):
    """Days that cost nothing."""

    label = "Start a trial"
    explanation = "The tier's terms without a charge; the first paid month begins when the trial ends."
    tier = forms.ChoiceField()
    option = forms.ChoiceField(choices=_OPTIONS, required=False)
    days = forms.IntegerField(min_value=1, max_value=365, initial=14)

    @classmethod
    def fits(cls, subscription: Subscription) -> bool:
        """Only who pays for nothing."""
        return subscription.is_free and subscription.paid_tier_id is None

    def run(self, *, actor: Actor, at: datetime) -> str:
        """The trial, also another one."""
        made = services.start_trial(**self.said(actor, at), **self.asked(), days=self.cleaned_data["days"])
        end = day_of(made.trial_ends_at, made.zone) if made.trial_ends_at else ""
        return f"{made.organization} tries {made.tier.name} until {end}."


class Pays(Act):
    """How later months are paid for."""

    label = "Change how it is paid"
    explanation = "From the next month on. An invoice is made due each month, and its credit comes at once."
    collection = forms.ChoiceField(choices=Collection.choices, label="Paid")

    @classmethod
    def fits(cls, subscription: Subscription) -> bool:
        """Only where there is something to pay."""
        return not subscription.is_free

    def run(self, *, actor: Actor, at: datetime) -> str:
        """The new way."""
        made = services.set_collection(**self.said(actor, at), collection=self.cleaned_data["collection"])
        return f"Later months: {made.get_collection_display().lower()}."


class Cancel(Act):
    """The end."""

    label = "Cancel"
    explanation = "Then the free tier begins. Nothing is paid back; credit that came with the month ends with it."
    when = forms.ChoiceField(choices=[("end", "When the month ends"), ("now", "At once")], initial="end")

    @classmethod
    def fits(cls, subscription: Subscription) -> bool:
        """Only who pays."""
        return not subscription.is_free

    def run(self, *, actor: Actor, at: datetime) -> str:
        """Now or later."""
        at_once = self.cleaned_data["when"] == "now"
        services.cancel_subscription(**self.said(actor, at), at_once=at_once)
        return "The subscription has ended." if at_once else "The subscription ends with its month."


class Reactivate(Act):
    """The way back."""

    label = "Reactivate"
    explanation = "Takes back a cancellation, or a change that waits for the end of the month."

    @classmethod
    def fits(cls, subscription: Subscription) -> bool:
        """Only before it has ended."""
        waits = subscription.ends_at is not None or subscription.next_tier_id is not None
        return waits and subscription.status != SubscriptionStatus.ENDED

    def run(self, *, actor: Actor, at: datetime) -> str:
        """As if nothing had been said."""
        services.reactivate_subscription(**self.said(actor, at))
        return "The subscription goes on."


ACTS: dict[str, type[Act]] = {
    "switch": Switch,
    "give": Give,
    "trial": Trial,
    "pays": Pays,
    "cancel": Cancel,
    "reactivate": Reactivate,
}
