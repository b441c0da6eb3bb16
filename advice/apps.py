"""App configuration."""

from django.apps import AppConfig


class AdviceConfig(AppConfig):
    """See models.py."""

    name = "advice"

    def ready(self) -> None:
        """Give the news of this app its words."""
        import advice.notices  # noqa: F401  (registers them)
