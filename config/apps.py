"""What must be in place in every process before the apps are used."""

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class FareboxConfig(AppConfig):
    """No tables."""

    name = "config"
    label = "farebox_config"

    def ready(self) -> None:
        """Make our Celery the current one: a task sent by a web process goes to our broker, not to a default one.

        Operators' groups follow every migration; once, after the last app, when all permissions are there.
        """
        import config.celery  # noqa: F401
        from config.roles import apply_rules

        last = [each for each in apps.get_app_configs() if each.models_module is not None][-1]
        post_migrate.connect(apply_rules, sender=last, dispatch_uid="roles")


class BackOfficeConfig(AdminConfig):
    """Django's admin with our site as the one that every app registers with."""

    default_site = "config.backoffice.BackOffice"
