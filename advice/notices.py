"""News of the advice in words."""

from decimal import Decimal

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core.amounts import readable
from outbox.notices.kinds import GOOD, MANAGERS, Facts, Kind, Words, add_kind, news

add_kind(
    Kind(
        "recommendation",
        gettext_lazy("There is a way to spend less"),
        gettext_lazy("When the review of your usage finds something new."),
        MANAGERS,
        by_email=False,
    )
)


@news("recommendations.found", kind="recommendation", level=GOOD, icon="trending-down")
def recommendations_found(data: Facts) -> Words:
    """How many, and what the best of them saves."""
    count = int(data.get("count", 1))
    title = ngettext("A new recommendation", "%(count)s new recommendations", count) % {"count": count}
    if data.get("saving") is None:  # the plan shows tips without figures
        return Words(title, _("Your usage of the last thirty days has shown it."), reverse("recommendations"))
    words = _("The best of them would have saved %(saving)s in the last thirty days.")
    return Words(title, words % {"saving": readable(Decimal(data["saving"]))}, reverse("recommendations"))
