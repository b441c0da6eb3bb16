"""Webhooks in templates."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from outbox.webhooks.models import Off, State, WebhookDelivery, WebhookEndpoint, WebhookMessage

register = template.Library()

_TONES = {State.DELIVERED: "good", State.WAITING: "info", State.FAILED: "bad", State.MISSED: "warn"}


@register.simple_tag
def endpoint_badge(endpoint: WebhookEndpoint) -> SafeString:
    """Working, failing, off."""
    if endpoint.enabled:
        return _badge(_("failing"), "warn") if endpoint.failures else _badge(_("on"), "good")
    if endpoint.off_reason == Off.SWITCHED_OFF:
        return _badge(_("off"), "")
    return _badge(_("disabled"), "bad")


@register.simple_tag
def message_badge(message: WebhookMessage) -> SafeString:
    """Where it is."""
    words = {
        State.DELIVERED: _("delivered"),
        State.WAITING: _("retrying") if message.attempts else _("waiting"),
        State.FAILED: _("given up"),
        State.MISSED: _("missed"),
    }
    state = State(message.state)
    return _badge(words[state], _TONES[state])


@register.simple_tag
def attempt_badge(delivery: WebhookDelivery) -> SafeString:
    """What came of it."""
    words = str(delivery.http_code) if delivery.http_code else _("no answer")
    return _badge(words, "good" if delivery.succeeded else "bad")


def _badge(words: str, tone: str) -> SafeString:
    return format_html('<span class="badge{}">{}</span>', f" badge-{tone}" if tone else "", words)
