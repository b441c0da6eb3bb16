"""From domain events to messages."""

from django.db import transaction

from core.jsonio import dumps, wire_form
from core.times import utc_text
from outbox.models import DomainEvent
from outbox.registry import handles
from outbox.webhooks.models import State, WebhookEndpoint, WebhookEvent, WebhookMessage
from outbox.webhooks.registry import Data, NewsType, native_types, type_of
from outbox.webhooks.soon import send_soon


@handles(*(each.name for each in native_types()))
def announce(event: DomainEvent) -> None:
    """Write the messages of a domain event for the endpoints that want it; a second call adds nothing."""
    type = type_of(event.type)
    if type is None or event.organization_id is None:
        return
    wanting = WebhookEndpoint.objects.of(event.organization_id).wanting(type.name)
    if not wanting.exists():
        return
    data = type.render(event)
    if data is None:
        return
    with transaction.atomic():
        # Locked, so that none is switched off or on between the look and the message.
        endpoints = list(wanting.without_secrets().select_for_update(no_key=True).order_by("id"))
        told = WebhookEvent(
            id=event.id,
            organization_id=event.organization_id,
            type=type.name,
            payload=payload_of(type, event, data),
            created_at=event.created_at,
        )
        WebhookEvent.objects.bulk_create([told], ignore_conflicts=True)
        # Already there: the first call's bytes stay, and its messages too.
        WebhookMessage.objects.bulk_create([_message(event, each) for each in endpoints], ignore_conflicts=True)
        send_soon()


def payload_of(type: NewsType, event: DomainEvent, data: Data) -> str:
    """The whole body. Of the wire's types exactly as its clients know it; Farebox's own say whom they are about."""
    envelope: dict[str, object] = {"type": type.name, "timestamp": utc_text(event.created_at)}
    if type.version:
        envelope["api_version"] = type.version
    else:
        envelope |= {"id": str(event.id), "organization_id": str(event.organization_id)}
    inner = data if isinstance(data, bytes) else dumps(wire_form(data))
    return f'{dumps(envelope).decode()[:-1]},"data":{inner.decode()}}}'


def _message(event: DomainEvent, endpoint: WebhookEndpoint) -> WebhookMessage:
    return WebhookMessage(
        event_id=event.id,
        endpoint=endpoint,
        state=State.WAITING if endpoint.enabled else State.MISSED,
        created_at=event.created_at,
        due_at=event.created_at,
    )
