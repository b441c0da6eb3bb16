"""News of payments in words."""

from decimal import Decimal

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.amounts import readable
from outbox.notices.kinds import BAD, BILLING, GOOD, WARN, Facts, Kind, Words, add_kind, news

FAILED, PAID, TOP_UP = "payment_failed", "payment_succeeded", "top_up"

add_kind(
    Kind(
        FAILED,
        gettext_lazy("A payment failed"),
        gettext_lazy("A declined card, with when it is tried again."),
        BILLING,
        by_email=True,
        writes_itself=True,
    )
)
add_kind(
    Kind(
        TOP_UP,
        gettext_lazy("Automatic top-ups"),
        gettext_lazy("Each one, and when they stop: at the monthly cap, after a decline or a dispute."),
        BILLING,
        by_email=True,
    )
)
add_kind(
    Kind(
        PAID,
        gettext_lazy("A payment succeeded"),
        gettext_lazy("A receipt for plans and credit."),
        BILLING,
        by_email=True,
        writes_itself=True,
    )
)


@news("payment.declined", "payment.failed", kind=FAILED, level=BAD, icon="credit-card")
def failed(data: Facts) -> Words:
    """That it failed, and what to do."""
    again = data.get("retry_at")
    text = (
        _("It is tried again. You can also pay now, or save another card.")
        if again
        else _("Pay it, or save another card.")
    )
    return Words(_("A payment was declined"), text, _payment(data))


@news("payment.succeeded", kind=PAID, level=GOOD, icon="credit-card")
def succeeded(data: Facts) -> Words | None:
    """How much was paid; nothing where nothing was."""
    amount = Decimal(str(data.get("amount") or 0))
    if not amount:
        return None
    words = (
        _("%(amount)s was paid by automatic top-up") if data.get("purpose") == "top_up" else _("%(amount)s was paid")
    )
    return Words(words % {"amount": readable(amount)}, "", _payment(data))


@news("auto_top_up.paused", kind=TOP_UP, level=BAD, icon="repeat")
def paused(data: Facts) -> Words:
    """Why, and how it goes on."""
    return Words(
        _("Automatic top-up is paused"),
        _("A payment was disputed with the bank. Set the top-up again when it shall go on.")
        if data.get("by_dispute")
        else _("The card was declined. Save another one, or set the top-up again."),
        reverse("payments"),
    )


@news("auto_top_up.capped", kind=TOP_UP, level=WARN, icon="repeat")
def capped(data: Facts) -> Words:
    """That the month's cap is reached."""
    cap = readable(Decimal(str(data.get("monthly_cap") or 0)))
    return Words(
        _("Automatic top-up has reached its monthly cap of %(cap)s") % {"cap": cap},
        _("Buy credit yourself, or raise the cap."),
        reverse("payments"),
    )


def _payment(data: Facts) -> str:
    payment_id = data.get("payment_id")
    return reverse("payment", args=[payment_id]) if payment_id else reverse("payments")
