"""App configuration."""

from django.apps import AppConfig


class TiersConfig(AppConfig):
    """See models.py."""

    name = "tiers"
