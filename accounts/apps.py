"""App configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See models.py."""

    name = "accounts"
