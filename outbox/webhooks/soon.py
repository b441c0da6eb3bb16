"""Sending at once instead of with the next beat."""

from django.db import transaction


def send_soon() -> None:
    """Let a worker send after the commit of the running transaction; a broker that is down leaves it to the beat."""
    transaction.on_commit(_send, robust=True)


def _send() -> None:
    from outbox.tasks import send_webhooks  # the tasks know the services, which know this

    # A run that no worker begins within moments is one that the beat has overtaken.
    send_webhooks.apply_async(retry=False, expires=10)
