"""Django's settings as plain attributes, for what every call reads: its own object runs a function for each reading.

Each is read once. Where a test overrides one, it is read again.
"""

from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed


class PlainSettings:
    """Reads like ``django.conf.settings``, and only reads."""

    def __getattr__(self, name: str) -> Any:
        """A setting that was not read yet. Raises AttributeError."""
        value = self.__dict__[name] = getattr(django_settings, name)
        return value

    def forget(self, *, setting: str, **_: Any) -> None:
        """Read a setting again, for it was changed."""
        self.__dict__.pop(setting, None)


settings = PlainSettings()
setting_changed.connect(settings.forget)
