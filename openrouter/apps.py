"""App configuration."""

from django.apps import AppConfig


class OpenRouterConfig(AppConfig):
    """See models.py."""

    name = "openrouter"
