"""What merchants call their events."""

from datetime import datetime
from uuid import UUID

from billing.models import EventLabel


def label_events(*, organization_id: UUID, name: str, label: str, selector: str, at: datetime) -> EventLabel:
    """Call events of this name ``label``, or what ``selector`` (a path with dots) finds in an event's metadata."""
    values = {"label": label, "selector": selector, "modified_at": at}
    return EventLabel.objects.update_or_create(organization_id=organization_id, name=name, defaults=values)[0]
