"""News of plans in words."""

from decimal import Decimal

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.amounts import readable
from outbox.notices.kinds import BAD, BILLING, INFO, WARN, Facts, Kind, Words, add_kind, day_in, news
from tiers.models import Collection
from tiers.querysets import name_of

PLAN, TRIAL = "plan_changed", "trial_ending"

add_kind(
    Kind(
        PLAN,
        gettext_lazy("The plan changes"),
        gettext_lazy("A switch, a cancellation, or an overdue payment."),
        BILLING,
        by_email=True,
    )
)

add_kind(
    Kind(
        TRIAL,
        gettext_lazy("A trial is about to end"),
        gettext_lazy("Three days before it does: what is charged then, and how."),
        BILLING,
        by_email=True,
    )
)


@news("tier.trial_ending", kind=TRIAL, level=WARN, icon="package")
def trial_ending(data: Facts) -> Words:
    """When, and what follows."""
    day = day_in(data, data["trial_ends_at"])
    title = _("The trial of “%(tier)s” ends on %(day)s") % {"tier": name_of(data["tier"]), "day": day}
    return Words(title, _what_follows(data), reverse("plan"))


def _what_follows(data: Facts) -> str:
    facts = {
        "tier": name_of(data["next_tier"]),
        "price": readable(Decimal(data["monthly_price"])),
        "method": data["payment_method"],
    }
    if data["collection"] == Collection.NONE:
        return _("Nothing is charged then: the plan “%(tier)s” begins.") % facts
    if data["collection"] == Collection.MANUAL:
        return _("The first month of “%(tier)s” is due then: %(price)s. Cancel before if you do not want it.") % facts
    if not data["payment_method"]:
        return (
            _("The first month of “%(tier)s” is due then: %(price)s. Save a payment method, or the plan ends unpaid.")
            % facts
        )
    words = _("The first month of “%(tier)s” is charged then: %(price)s with %(method)s. Cancel before to prevent it.")
    return words % facts


@news("tier.changed", kind=PLAN, level=INFO, icon="package")
def changed(data: Facts) -> Words | None:
    """To which plan; not that one began with the first."""
    if not data.get("before"):
        return None
    return Words(_("You are on the plan “%(tier)s” now") % {"tier": name_of(data.get("tier", ""))}, "", reverse("plan"))


@news("subscription.change_scheduled", kind=PLAN, level=INFO, icon="package")
def scheduled(data: Facts) -> Words:
    """What comes when."""
    facts = {"tier": name_of(data.get("next_tier", "")), "day": day_in(data, data.get("effective_at"))}
    return Words(_("You move to the plan “%(tier)s” on %(day)s") % facts, "", reverse("plan"))


@news("subscription.canceled", kind=PLAN, level=INFO, icon="package")
def canceled(data: Facts) -> Words:
    """That it ends."""
    return Words(
        _("The plan is canceled"),
        _("It goes on until the end of its month. Until then it can be kept."),
        reverse("plan"),
    )


@news("subscription.past_due", kind=PLAN, level=BAD, icon="package")
def past_due(data: Facts) -> Words:
    """That it is not paid."""
    return Words(_("The plan is not paid"), _("It ends when it stays unpaid."), reverse("payments"))
