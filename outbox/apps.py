"""App configuration."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """See models.py."""

    name = "outbox"
