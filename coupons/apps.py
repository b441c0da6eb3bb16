"""App configuration."""

from django.apps import AppConfig


class CouponsConfig(AppConfig):
    """See models.py."""

    name = "coupons"
