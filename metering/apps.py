"""App configuration."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """See models.py."""

    name = "metering"
