"""``manage.py openrouter_sandbox --port 4010 --data-dir var/sandbox``."""

from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sandbox.__main__ import add_arguments, run


class Command(BaseCommand):
    """Run the local stand-in for OpenRouter in the foreground."""

    help = "Serve a local stand-in for OpenRouter with its own exact books."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The sandbox's own options."""
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until Ctrl-C."""
        run(Namespace(**options))
