"""What must be in place in every process before the apps are used."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class FareboxConfig(AppConfig):
    """No tables."""

    name = "config"
    label = "farebox_config"

    def ready(self) -> None:
        """Make our Celery the current one: a task sent by a web process goes to our broker, not to a default one."""
        import config.celery  # noqa: F401


class BackOfficeConfig(AdminConfig):
    """Django's admin with our site as the one that every app registers with."""

    default_site = "config.backoffice.BackOffice"
