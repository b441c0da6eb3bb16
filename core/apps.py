"""Shared helpers without tables."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Money, time, ids, errors, JSON."""

    name = "core"
