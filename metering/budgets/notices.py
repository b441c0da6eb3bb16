"""News of budgets in words."""

from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.amounts import readable
from outbox.notices.kinds import BAD, MANAGERS, WARN, Facts, Kind, Words, add_kind, day_in, news

BUDGETS = "budget_reached"

add_kind(
    Kind(
        BUDGETS,
        gettext_lazy("A budget is reached"),
        gettext_lazy("Once for each threshold, when more is used than there was, and for the first refused call."),
        MANAGERS,
        by_email=True,
    )
)


@news("budget.threshold_reached", kind=BUDGETS, level=WARN, icon="gauge")
def threshold_reached(data: Facts) -> Words | None:
    """How far it has come; of several thresholds at once only the highest."""
    if not data.get("is_highest"):
        return None
    facts = {"name": data.get("name", ""), "percent": _percent(data)}
    return Words(_("%(percent)s%% of the budget “%(name)s” is used") % facts, _how(data), _link(data))


@news("budget.exceeded", kind=BUDGETS, level=BAD, icon="gauge")
def exceeded(data: Facts) -> Words:
    """That more is used than there was."""
    return Words(_("The budget “%(name)s” is exceeded") % {"name": data.get("name", "")}, _how(data), _link(data))


@news("budget.blocked", kind=BUDGETS, level=BAD, icon="gauge")
def blocked(data: Facts) -> Words:
    """That a call was refused."""
    facts = {"name": data.get("name", "")}
    return Words(_("The budget “%(name)s” has refused a call") % facts, _how(data), _link(data))


def _percent(data: Facts) -> str:
    return f"{Decimal(str(data.get('threshold') or 0)).normalize():f}"


def _how(data: Facts) -> str:
    words = _("%(spent)s of %(amount)s.") % {"spent": _amount(data.get("spent")), "amount": _amount(data.get("amount"))}
    if not data.get("resets_at"):
        return words
    return f"{words} " + _("It begins anew on %(day)s.") % {"day": day_in(data, data["resets_at"])}


def _amount(value: Any) -> str:
    return readable(Decimal(str(value or 0)))


def _link(data: Facts) -> str:
    return reverse("budget", args=[data["budget_id"]])
