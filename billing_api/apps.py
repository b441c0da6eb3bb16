"""The app."""

from django.apps import AppConfig


class BillingApiConfig(AppConfig):
    """The wire that usage-billing clients speak."""

    name = "billing_api"
