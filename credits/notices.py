"""News of credit in words."""

from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.amounts import readable
from outbox.notices.kinds import BAD, BILLING, GOOD, INFO, WARN, Facts, Kind, Words, add_kind, day_in, news

LOW, EXPIRING, ADDED, STATEMENT = "credit_low", "credit_expiring", "credit_added", "statement_ready"

add_kind(
    Kind(
        LOW,
        gettext_lazy("Credit runs low or out"),
        gettext_lazy("Once for each shortage."),
        BILLING,
        by_email=True,
        writes_itself=True,
    )
)
add_kind(
    Kind(
        EXPIRING,
        gettext_lazy("Credit is about to expire"),
        gettext_lazy("A week before bonus or bought credit ends."),
        BILLING,
        by_email=True,
        writes_itself=True,
    )
)
add_kind(
    Kind(
        ADDED,
        gettext_lazy("Credit is added"),
        gettext_lazy("Monthly credit, coupons, refunds, and what an operator gives."),
        BILLING,
        by_email=False,
    )
)
add_kind(
    Kind(
        STATEMENT, gettext_lazy("A statement is ready"), gettext_lazy("Once for each period."), BILLING, by_email=False
    )
)


def _amount(value: Any) -> str:
    return readable(Decimal(str(value or 0)))


@news("credits.low", kind=LOW, level=WARN, icon="wallet")
def low(data: Facts) -> Words:
    """How little is left."""
    return Words(
        _("Credit runs low: %(left)s left") % {"left": _amount(data.get("balance"))},
        _("Calls are refused when it is used up. Buy credit, or let it buy itself."),
        reverse("payment_buy"),
    )


@news("credits.exhausted", kind=LOW, level=BAD, icon="wallet")
def exhausted(data: Facts) -> Words:
    """That nothing is left."""
    return Words(
        _("The credit is used up"),
        _("Calls that cost something are refused until more is added."),
        reverse("payment_buy"),
    )


@news("credits.expiring", kind=EXPIRING, level=WARN, icon="hourglass")
def expiring(data: Facts) -> Words:
    """How much ends, and when the first of it."""
    lots = data.get("lots") or [{}]
    facts = {"amount": _amount(data.get("total")), "day": day_in(data, lots[0].get("expires_at"))}
    return Words(
        _("%(amount)s of credit expires from %(day)s on") % facts, _("It is spent first."), reverse("dashboard")
    )


@news("credits.expired", kind=EXPIRING, level=INFO, icon="hourglass")
def expired(data: Facts) -> Words | None:
    """How much has ended; nothing of less than a cent."""
    amount = abs(Decimal(str(data.get("amount") or 0)))
    if amount < Decimal("0.01"):
        return None
    return Words(_("%(amount)s of credit has expired") % {"amount": readable(amount)}, "", reverse("transactions"))


@news("credits.granted", kind=ADDED, level=GOOD, icon="gift")
def granted(data: Facts) -> Words:
    """How much came."""
    return Words(
        _("%(amount)s of credit was added") % {"amount": _amount(data.get("amount"))},
        _("Balance: %(balance)s") % {"balance": _amount(data.get("balance"))} if data.get("balance") else "",
        _transaction(data),
    )


@news("credits.refunded", kind=ADDED, level=GOOD, icon="undo-2")
def refunded(data: Facts) -> Words:
    """How much came back."""
    return Words(_("%(amount)s was given back") % {"amount": _amount(data.get("amount"))}, "", _transaction(data))


@news("statement.ready", kind=STATEMENT, level=INFO, icon="file-text")
def statement_ready(data: Facts) -> Words:
    """Which one."""
    return Words(_("A statement is ready"), _("What there was, what came, what was used."), reverse("statements"))


def _transaction(data: Facts) -> str:
    entry_id = data.get("entry_id")
    return reverse("transaction", args=[entry_id]) if entry_id else reverse("transactions")
