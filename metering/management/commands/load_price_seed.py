"""``manage.py load_price_seed``: the packaged prices, for models that have none yet."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from metering.price_seed import read_seed
from metering.services.price_book import load_price_seed


class Command(BaseCommand):
    """Safe to run at every start: a model with a price keeps it."""

    help = "Load the packaged price list for models that have no price yet."

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, and say how many models it gave prices."""
        count = load_price_seed(at=timezone.now())
        seed = read_seed()
        self.stdout.write(f"{count} models priced from {seed.source} (list of {seed.taken_on}).")
