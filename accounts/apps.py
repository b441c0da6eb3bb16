"""App configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See models.py."""

    name = "accounts"
    verbose_name = "Customers and people"  # the sign-in library has an app called Accounts
