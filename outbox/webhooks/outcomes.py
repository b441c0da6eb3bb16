"""What came of an attempt: written down, with what follows for its message and its endpoint."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from outbox.services import publish
from outbox.webhooks.addresses import host_of
from outbox.webhooks.claims import Attempt
from outbox.webhooks.models import Off, State, WebhookDelivery, WebhookEndpoint, WebhookMessage
from outbox.webhooks.notices import tell_owners
from outbox.webhooks.schedule import MOST_ATTEMPTS, MOST_FAILURES, pause_after
from outbox.webhooks.transport import Answer

GONE = 410
_ACTOR = "webhooks"


@transaction.atomic
def record_attempt(*, attempt: Attempt, answer: Answer, at: datetime) -> None:
    """Write down an attempt and what follows from it. What was deleted meanwhile is passed over.

    An attempt whose lease has run out meanwhile is noted too; of its message it only says that it has arrived.
    """
    endpoints = WebhookEndpoint.objects.without_secrets().select_for_update(no_key=True)
    endpoint = endpoints.filter(id=attempt.endpoint_id).first()
    message = WebhookMessage.objects.select_for_update().filter(id=attempt.message_id).first()
    if endpoint is None or message is None:
        return
    _note(attempt, answer)
    message.last_code = answer.code
    if answer.succeeded:
        _delivered(message, endpoint, at)
    elif message.lease == attempt.lease:
        _not_delivered(message, endpoint, attempt, answer, at)
    message.save(update_fields=["state", "due_at", "lease", "last_code", "ended_at"])


def disable(endpoint: WebhookEndpoint, *, reason: Off, at: datetime) -> None:
    """Switch a locked endpoint off; what waits for it is kept, to be sent when it is switched on again."""
    endpoint.enabled, endpoint.off_reason, endpoint.off_since, endpoint.modified_at = False, reason, at, at
    endpoint.save(update_fields=["enabled", "off_reason", "off_since", "modified_at"])
    endpoint.messages.filter(state=State.WAITING).update(state=State.MISSED, lease=None)


def _note(attempt: Attempt, answer: Answer) -> None:
    WebhookDelivery.objects.create(
        message_id=attempt.message_id,
        event_id=attempt.event_id,
        endpoint_id=attempt.endpoint_id,
        number=attempt.number,
        succeeded=answer.succeeded,
        http_code=answer.code,
        response=answer.text,
        problem=answer.problem,
        duration_ms=answer.duration_ms,
        created_at=attempt.begun_at,
    )


def _delivered(message: WebhookMessage, endpoint: WebhookEndpoint, at: datetime) -> None:
    message.state, message.lease, message.ended_at = State.DELIVERED, None, at
    if endpoint.failures:
        endpoint.failures = 0
        endpoint.save(update_fields=["failures"])


def _not_delivered(
    message: WebhookMessage, endpoint: WebhookEndpoint, attempt: Attempt, answer: Answer, at: datetime
) -> None:
    message.lease = None
    if answer.code == GONE:
        message.state = State.MISSED
        _give_up_endpoint(endpoint, Off.GONE, at)
    elif attempt.number < MOST_ATTEMPTS:
        message.due_at = at + pause_after(attempt.number)
    else:
        message.state, message.ended_at = State.FAILED, at
        endpoint.failures += 1
        endpoint.save(update_fields=["failures"])
        if endpoint.failures >= MOST_FAILURES:
            _give_up_endpoint(endpoint, Off.FAILING, at)


def _give_up_endpoint(endpoint: WebhookEndpoint, reason: Off, at: datetime) -> None:
    """Disable it and say so once; one that is off already stays as it is."""
    if not endpoint.enabled:
        return
    disable(endpoint, reason=reason, at=at)
    data = {"endpoint_id": endpoint.id, "host": host_of(endpoint.url), "reason": reason.value}
    publish(type="webhook.endpoint_disabled", organization_id=endpoint.organization_id, data=data, actor=_ACTOR, at=at)
    words = _("it answered 410 Gone") if reason == Off.GONE else _("%d messages in a row were given up") % MOST_FAILURES
    tell_owners(endpoint=endpoint, why=words, at=at)
