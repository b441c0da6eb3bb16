"""News in the frame of every page."""

from django import template
from django.template import RequestContext

from outbox.notices.reading import MOST, unread_count

register = template.Library()


@register.simple_tag(takes_context=True)
def unread_notices(context: RequestContext) -> str:
    """How much of the organization's news the reader has not seen: empty, ``3``, ``99+``."""
    frame, user = context.get("frame"), context.get("user")
    if frame is None or frame.organization is None or user is None or not user.is_authenticated:
        return ""
    count = unread_count(user.pk, frame.organization.id)
    return f"{MOST}+" if count > MOST else str(count or "")
