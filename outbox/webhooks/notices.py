"""Telling the people of an organization that an endpoint is disabled: one e-mail to each, once."""

from datetime import datetime

from django.conf import settings

from accounts.contacts import managers_of
from core.letters import letter
from outbox.mail import queue_email
from outbox.webhooks.models import WebhookEndpoint


def tell_owners(*, endpoint: WebhookEndpoint, why: str, at: datetime) -> int:
    """Write to owners and admins in the caller's transaction; how many."""
    organization = endpoint.organization
    people = managers_of(organization.live_organization_id or organization.id)
    for person in people:
        context = {"endpoint": endpoint, "why": why, "person": person, "address": settings.PUBLIC_URL}
        subject, body = letter("outbox/mail/webhook_disabled.txt", context)
        queue_email(
            # An endpoint that is disabled a second time is news again.
            key=f"webhook:{endpoint.id}:{at:%Y%m%d%H%M%S%f}:{person.pk}",
            recipient=person.email,
            subject=subject,
            body=body,
            organization_id=organization.id,
            at=at,
        )
    return len(people)
