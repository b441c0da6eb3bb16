"""E-mails: written as rows in the transaction of what they tell of, sent afterwards until they are."""

import time
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core.redaction import redact
from outbox.attachments import file_of
from outbox.models import EmailDelivery, EmailStatus
from outbox.services import LEASE, pause_after

log = structlog.get_logger(__name__)

# With growing pauses about a day.
MOST_ATTEMPTS = 32
RUN_SECONDS = 20
KEPT = timedelta(days=180)


def queue_email(
    *,
    key: str,
    recipient: str,
    subject: str,
    body: str,
    organization_id: UUID | None,
    at: datetime,
    headers: dict[str, str] | None = None,
    attachment: str | None = None,
) -> EmailDelivery:
    """Write a message in the caller's transaction; under a ``key`` that is known, nothing is added.

    ``attachment`` names a file that is made when the message is sent (``outbox.attachments``).
    """
    delivery, _ = EmailDelivery.objects.get_or_create(
        key=key,
        defaults={
            "organization_id": organization_id,
            "recipient": recipient,
            "subject": " ".join(subject.split())[:200],  # one line: a header must not be continued by its content
            "body": body,
            "headers": headers,
            "attachment": attachment,
            "created_at": at,
        },
    )
    return delivery


def send_emails(*, at: datetime, limit: int = 100) -> tuple[int, int]:
    """Send what is due, oldest first; how many were sent and how many not. Any number of senders may run at once.

    After RUN_SECONDS the rest is left to the next run: a slow mail server must keep neither the worker nor messages
    beyond their lease, when somebody else would send them too.
    """
    deliveries = _claim(at, limit)
    if not deliveries:
        return 0, 0
    connection, ends, tried = get_connection(), time.monotonic() + RUN_SECONDS, []
    for delivery in deliveries:
        if time.monotonic() >= ends:
            break
        tried.append(_send(delivery, connection))
    _give_back(deliveries[len(tried) :], at)
    _hang_up(connection)
    return sum(tried), len(tried) - sum(tried)


def retry_email(*, delivery_id: UUID) -> None:
    """Let a message that was given up, or waits, be sent at once."""
    unsent = EmailDelivery.objects.filter(id=delivery_id).exclude(status=EmailStatus.SENT)
    unsent.update(status=EmailStatus.WAITING, attempts=0, retry_at=None)


def forget_emails(*, at: datetime, limit: int = 5_000) -> int:
    """Delete up to ``limit`` messages older than KEPT, sent or given up; how many."""
    old = EmailDelivery.objects.filter(created_at__lt=at - KEPT).exclude(status=EmailStatus.WAITING)
    return EmailDelivery.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0]


def _claim(at: datetime, limit: int) -> list[EmailDelivery]:
    """Take due messages for the length of the lease, so that none is sent inside a transaction."""
    with transaction.atomic():
        due = EmailDelivery.objects.due(at).select_for_update(skip_locked=True)
        ids = list(due.values_list("id", flat=True)[:limit])
        claimed = EmailDelivery.objects.filter(id__in=ids)
        claimed.update(retry_at=at + LEASE, attempts=F("attempts") + 1)
        return list(claimed.order_by("created_at", "id"))


def _give_back(deliveries: list[EmailDelivery], at: datetime) -> None:
    """Those that were not tried are due as before."""
    untried = EmailDelivery.objects.filter(id__in=[each.id for each in deliveries], retry_at=at + LEASE)
    untried.update(retry_at=at, attempts=F("attempts") - 1)


def _hang_up(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except Exception:
        # What was sent is sent: a server that does not even say goodbye must not make it look otherwise.
        log.warning("outbox.mail_server_silent", exc_info=True)


def _message(delivery: EmailDelivery, connection: BaseEmailBackend) -> EmailMessage:
    message = EmailMessage(
        subject=delivery.subject,
        body=delivery.body,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[delivery.recipient],
        connection=connection,
        # The same for each attempt: a mailbox that got it before its sender died recognises the second.
        headers={
            "Message-ID": f"<{delivery.id}@farebox>",
            "Auto-Submitted": "auto-generated",
            **(delivery.headers or {}),
        },
    )
    if delivery.attachment and (file := file_of(delivery.attachment)):
        message.attach(file.name, file.content, file.media_type)
    return message


def _send(delivery: EmailDelivery, connection: BaseEmailBackend) -> bool:
    try:
        _message(delivery, connection).send()
    except Exception as error:
        # A mail server fails in many ways; each of them means the same: later.
        log.warning("outbox.email_failed", delivery=str(delivery.id), exc_info=True)
        _note_failure(delivery, error)
        _hang_up(connection)  # half a conversation must not go on with the next message
        return False
    delivery.status, delivery.sent_at, delivery.last_error = EmailStatus.SENT, timezone.now(), ""
    delivery.retry_at = None
    delivery.save(update_fields=["status", "sent_at", "retry_at", "last_error"])
    return True


def _note_failure(delivery: EmailDelivery, error: Exception) -> None:
    delivery.last_error = redact(f"{error.__class__.__name__}: {error}")[:300]
    delivery.retry_at = timezone.now() + pause_after(delivery.attempts)
    if delivery.attempts >= MOST_ATTEMPTS:
        delivery.status = EmailStatus.FAILED
    delivery.save(update_fields=["last_error", "retry_at", "status"])
