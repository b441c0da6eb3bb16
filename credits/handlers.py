"""News that owners and billing members are told by e-mail."""

from django.utils import timezone

from credits.services.alerts import announce_shortage, close_shortages
from outbox.models import DomainEvent
from outbox.registry import handles


@handles("credits.low", "credits.exhausted")
def tell_of_shortage(event: DomainEvent) -> None:
    """Write to them, once per shortage."""
    announce_shortage(event=event, at=timezone.now())


@handles("credits.granted", "credits.refunded", "credits.reversed")
def end_shortage(event: DomainEvent) -> None:
    """The next shortage is news again."""
    if event.organization_id is not None:
        close_shortages(at=timezone.now(), organization_id=event.organization_id)
