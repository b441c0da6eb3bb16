"""``manage.py load_start_data``: what a first start needs, in one process; safe to run again."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from metering.services import make_partitions

# In the order in which they build on one another.
DEMO = (
    "load_demo",
    "load_demo_coupons",
    "load_demo_billing",
    "load_demo_merchant",
    "load_demo_reports",
    "load_demo_advice",
)


class Command(BaseCommand):
    """Tiers, prices and room for events; with ``--demo`` also people, organizations and their three months."""

    help = "Load tiers and prices, and with --demo everything that a visitor can look at."

    def add_arguments(self, parser: CommandParser) -> None:
        """The one choice."""
        parser.add_argument("--demo", action="store_true", help="demo data too")

    def handle(self, *args: Any, **options: Any) -> None:
        """Hand over to the commands of the apps."""
        if options["demo"]:
            for command in DEMO:
                call_command(command, stdout=self.stdout, stderr=self.stderr)
            return
        call_command("load_catalogue", stdout=self.stdout)
        call_command("load_price_seed", stdout=self.stdout)
        make_partitions(at=timezone.now())
