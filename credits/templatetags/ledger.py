"""Ledger entries and lots in templates."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.templatetags.farebox import icon
from credits.forms import KIND_LABELS
from credits.models import EntryKind, LedgerEntry, LotKind

register = template.Library()

USAGE_PREFIX = "Usage: "
_ICONS = {
    EntryKind.GRANT: "gift",
    EntryKind.CHARGE: "zap",
    EntryKind.DEDUCTION: "minus",
    EntryKind.REFUND: "undo-2",
    EntryKind.REVERSAL: "undo-2",
    EntryKind.EXPIRY: "hourglass",
    EntryKind.VOID: "ban",
    EntryKind.ADJUSTMENT: "scale",
}
LOT_LABELS = {
    LotKind.ALLOCATED: _("Monthly credit"),
    LotKind.BONUS: _("Bonus"),
    LotKind.PURCHASED: _("Purchased"),
    LotKind.REFUND: _("Refund"),
    LotKind.ROLLOVER: _("Rolled over"),
    "overage": _("Below zero"),
}
_SWATCHES = {kind: number for number, kind in enumerate(LotKind.values, 1)}


@register.filter
def entry_title(entry: LedgerEntry) -> str:
    """What happened, in the words that were given, else by its kind."""
    return entry.reason.removeprefix(USAGE_PREFIX) or str(KIND_LABELS[EntryKind(entry.kind)])


@register.filter
def kind_label(kind: str) -> str:
    """The kind of an entry in words."""
    return str(KIND_LABELS[EntryKind(kind)])


@register.filter
def lot_label(kind: str) -> str:
    """The kind of a lot in words; ``overage`` is credit below zero."""
    return str(LOT_LABELS.get(kind, kind))


@register.filter
def swatch(kind: str) -> int:
    """The number of the colour that stands for a kind of lot."""
    return _SWATCHES.get(kind, 6)


@register.simple_tag
def entry_icon(kind: str) -> SafeString:
    """The picture of a kind of entry, named for screen readers."""
    return format_html('{}<span class="sr-only">{}: </span>', icon(_ICONS[EntryKind(kind)]), kind_label(kind))
