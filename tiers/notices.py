"""News of plans in words."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from outbox.notices.kinds import BAD, BILLING, INFO, Facts, Kind, Words, add_kind, news
from tiers.querysets import name_of

PLAN = "plan_changed"

add_kind(
    Kind(
        PLAN,
        gettext_lazy("The plan changes"),
        gettext_lazy("A switch, a cancellation, or an overdue payment."),
        BILLING,
        by_email=True,
    )
)


@news("tier.changed", kind=PLAN, level=INFO, icon="package")
def changed(data: Facts) -> Words | None:
    """To which plan; not that one began with the first."""
    if not data.get("before"):
        return None
    return Words(_("You are on the plan “%(tier)s” now") % {"tier": name_of(data.get("tier", ""))}, "", reverse("plan"))


@news("subscription.change_scheduled", kind=PLAN, level=INFO, icon="package")
def scheduled(data: Facts) -> Words:
    """What comes when."""
    facts = {"tier": name_of(data.get("next_tier", "")), "day": str(data.get("effective_at", ""))[:10]}
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
