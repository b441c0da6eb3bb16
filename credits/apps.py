"""App configuration."""

from django.apps import AppConfig


class CreditsConfig(AppConfig):
    """See models.py."""

    name = "credits"
