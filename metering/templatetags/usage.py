"""Usage events in templates."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.templatetags.farebox import icon
from metering.forms import BREAKDOWNS, KIND_LABELS, STATUS_LABELS
from metering.models import Kind, UsageEvent
from tiers.querysets import name_of

register = template.Library()

_ICONS = {
    Kind.CHAT: "zap",
    Kind.COMPLETION: "terminal",
    Kind.EMBEDDING: "layers",
    Kind.TTS: "activity",
    Kind.SEARCH: "search",
    Kind.AGENT: "route",
    Kind.CUSTOM: "circle-dot",
}
_STATUS_BADGES = {"error": "bad", "cancelled": "warn", "partial": "warn"}


@register.filter
def event_title(event: UsageEvent) -> str:
    """What was used: the model, else the event's own name, else its kind."""
    return event.model or event.name or str(KIND_LABELS[Kind(event.kind)])


@register.filter
def usage_kind(kind: str) -> str:
    """The kind in words."""
    return str(KIND_LABELS[Kind(kind)])


@register.simple_tag
def usage_icon(kind: str) -> SafeString:
    """The picture of a kind, named for screen readers."""
    return format_html('{}<span class="sr-only">{}: </span>', icon(_ICONS[Kind(kind)]), usage_kind(kind))


@register.filter
def status_badge(event: UsageEvent) -> SafeString | str:
    """What went wrong; nothing for success."""
    if event.voided_at:
        return format_html('<span class="badge">{}</span>', _("voided"))
    if event.status == "ok":
        return ""
    return format_html(
        '<span class="badge badge-{}">{}</span>',
        _STATUS_BADGES.get(event.status, "warn"),
        STATUS_LABELS.get(event.status, event.status),
    )


@register.filter
def tier_name(slug: str) -> str:
    """What people call the tier."""
    return name_of(slug)


@register.filter
def breakdown(by: str) -> str:
    """The heading of usage by a dimension."""
    return str(BREAKDOWNS[by])


@register.filter
def usage_amount(event: UsageEvent) -> str:
    """How much: tokens in and out, else the quantity, else nothing."""
    if event.prompt_tokens or event.completion_tokens:
        return f"{event.prompt_tokens:,} → {event.completion_tokens:,}"
    return f"{event.quantity.normalize():,f}" if event.quantity else ""
