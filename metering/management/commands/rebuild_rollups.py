"""``manage.py rebuild_rollups 2026-03-01 2026-03-31``: make the sums of some days anew from their events."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.audit import audit_sums
from metering.services import rebuild_rollups


class Command(BaseCommand):
    """With ``--check`` it changes nothing; exit code 1 when a sum differs."""

    help = "Make the hourly, daily and tag sums of UTC days anew from their events, or only compare them."

    def add_arguments(self, parser: CommandParser) -> None:
        """The days, both included."""
        parser.add_argument("first", type=date.fromisoformat, help="like 2026-03-01")
        parser.add_argument("last", type=date.fromisoformat, help="like 2026-03-31")
        parser.add_argument("--check", action="store_true", help="compare only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild or compare, day by day."""
        first, last = options["first"], options["last"]
        if not options["check"]:
            self.stdout.write(f"Made anew from {rebuild_rollups(first=first, last=last):,} events.")
            return
        found = audit_sums(first=first, last=last)
        for row in found:
            self.stdout.write(
                f"{row.day} {row.organization_id} {row.table}: kept {_words(row.kept)}; counted {_words(row.counted)}"
            )
        if found:
            raise CommandError(f"{len(found)} sums differ from their events")
        self.stdout.write("Every sum is that of its events.")


def _words(figures: tuple[Any, ...]) -> str:
    events, charge, tokens = figures
    return f"{events} events, {charge} USD, {tokens} tokens"
