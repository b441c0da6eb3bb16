"""Beat tasks of the outbox."""

from celery import shared_task
from django.utils import timezone

from outbox.mail import forget_emails
from outbox.mail import send_emails as send_due
from outbox.notices.key_expiry import announce_expiring_keys
from outbox.services import dispatch_events
from outbox.taskruns import forget_runs, note_problem
from outbox.webhooks.keeping import forget_events
from outbox.webhooks.seats import seat
from outbox.webhooks.sending import send_webhooks as send_messages


@shared_task
def dispatch() -> int:
    """Hand on what has happened since the last run; several workers may do so at once."""
    return dispatch_events(at=timezone.now())


@shared_task
def send_emails() -> int:
    """Send what is due; several workers may do so at once."""
    sent, unsent = send_due(at=timezone.now())
    if unsent:
        note_problem(f"{unsent} e-mails could not be sent; each will be tried again.")
    return sent


@shared_task
def send_webhooks() -> int:
    """Tell endpoints what is due; how many messages arrived. Receivers that fail are no trouble of this job."""
    with seat() as taken:
        return send_messages().delivered if taken else 0


@shared_task
def forget_old() -> int:
    """Delete runs of jobs, e-mails and webhooks that nobody needs any more; how many."""
    now = timezone.now()
    return forget_runs(at=now) + forget_emails(at=now) + forget_events(at=now)


@shared_task
def tell_of_expiring_keys() -> int:
    """Announce API keys that end soon, once each; how many."""
    return announce_expiring_keys(at=timezone.now())
