"""``manage.py recover_calls``: settle calls that ended without a bill, from the provider's record."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from credits.models import Hold, HoldPurpose
from openrouter.recovery import recover_calls
from openrouter.recovery.totals import take_first_readings


class Command(BaseCommand):
    """Does what the beat task does, at once."""

    help = "Settle calls whose process died or whose answer was lost, from the provider's own record."

    def add_arguments(self, parser: CommandParser) -> None:
        """How long to go on."""
        parser.add_argument(
            "--wait", type=float, default=0, help="Go on for so many seconds, or until no call is open."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """One pass, or passes until nothing is left or the time is up."""
        deadline = time.monotonic() + options["wait"]
        settled = 0
        while True:
            passed = recover_calls(at=timezone.now(), at_once=True)
            settled += passed.settled
            left = Hold.objects.open().filter(purpose=HoldPurpose.GATEWAY).count()
            if not left or time.monotonic() >= deadline:
                break
            time.sleep(0.5)
        take_first_readings(at=timezone.now())
        self.stdout.write(f"{settled} settled, {left} still open")
