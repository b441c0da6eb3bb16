"""Payments in words and colours."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from payments.models import Payment, Purpose, Status
from payments.words import description_of

register = template.Library()

_STATUSES = {
    Status.OPEN: (_("Open"), "badge-info"),
    Status.PROCESSING: (_("Processing"), "badge-info"),
    Status.SUCCEEDED: (_("Paid"), "badge-good"),
    Status.FAILED: (_("Failed"), "badge-bad"),
    Status.CANCELED: (_("Canceled"), ""),
    Status.REFUNDED: (_("Refunded"), "badge-warn"),
}
_ICONS = {
    Purpose.CREDITS: "coins",
    Purpose.TOP_UP: "zap",
    Purpose.SUBSCRIPTION: "layers",
    Purpose.SWITCH: "layers",
    Purpose.OVERAGE: "scale",
}


@register.filter
def status_badge(payment: Payment) -> SafeString:
    """Where the payment is; one that will be tried again says so."""
    words, style = _STATUSES[Status(payment.status)]
    if payment.status == Status.OPEN and payment.failure_code:
        words, style = _("Declined"), "badge-bad"
    return format_html('<span class="badge {}">{}</span>', style, words)


@register.filter
def payment_icon(payment: Payment) -> str:
    """The icon of its purpose."""
    return _ICONS[Purpose(payment.purpose)]


@register.filter
def described(payment: Payment) -> str:
    """What it is for."""
    return description_of(payment)
