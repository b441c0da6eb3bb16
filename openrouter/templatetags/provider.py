"""The account's status for pages of other apps."""

from typing import Any

from django import template
from django.template import RequestContext

from openrouter.account_page import Status, status_of

register = template.Library()


@register.simple_tag(takes_context=True)
def provider_status(context: RequestContext) -> Status | None:
    """Where the OpenRouter account of the organization looked at stands; None for people who belong nowhere."""
    frame: Any = context.get("frame")
    return None if frame is None or frame.organization is None else status_of(frame.organization)
