"""``manage.py load_catalogue [managed-credits] [--update]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from tiers.catalogue import CATALOGUES, MANAGED_CREDITS, load_catalogue


class Command(BaseCommand):
    """Makes the tiers of a shipped catalogue; running it again changes nothing."""

    help = "Load the tiers of a shipped catalogue. Tiers that exist stay as they are unless --update is given."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which catalogue, and whether existing tiers follow it."""
        parser.add_argument("name", nargs="?", default=MANAGED_CREDITS, choices=sorted(CATALOGUES))
        parser.add_argument("--update", action="store_true", help="Give tiers that differ a new version.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load and report."""
        changed = load_catalogue(name=options["name"], at=timezone.now(), update=options["update"])
        names = ", ".join(str(tier) for tier in changed) or "nothing to do"
        self.stdout.write(f"{options['name']}: {names}")
