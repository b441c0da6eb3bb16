"""App configuration."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    """See models.py."""

    name = "reports"
    verbose_name = "Reports by e-mail"

    def ready(self) -> None:
        """Let the outbox attach reports."""
        import reports.files  # noqa: F401  (registers them)
