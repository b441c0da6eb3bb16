"""``manage.py reconcile_provider``: compare our books with the provider's."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.jsonio import dumps_text, wire_form
from core.money import to_wire
from openrouter.reconciliation import Report, reconcile
from openrouter.reconciliation.run import SAMPLE, as_json
from openrouter.upstreams import manageable_modes


def _calls(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise ArgumentTypeError("a number, or all")
    return int(text)


class Command(BaseCommand):
    """Exit code 1: a difference that nobody has explained. 2: something could not be compared."""

    help = (
        "Compare recorded costs with the provider's books: each call with the price list and the provider's record, "
        "each key with its usage, a completed UTC day with the activity, the whole account with its credits. "
        "Every difference is a row with an owner; there is no tolerance."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which day, how thorough, how patient, which shape."""
        parser.add_argument("--date", type=date.fromisoformat, help="completed UTC day (default: yesterday)")
        parser.add_argument("--now", action="store_true", help="only keys and account, as of now")
        parser.add_argument(
            "--calls", type=_calls, default=SAMPLE, help=f"calls to look up one by one, or all (default: {SAMPLE})"
        )
        parser.add_argument("--wait", type=float, default=20.0, help="seconds for running calls to end (default: 20)")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: object, **options: Any) -> None:
        """Compare and report."""
        if not manageable_modes():
            raise CommandError("No provider account is configured.", returncode=2)
        at = timezone.now()
        day = None if options["now"] else options["date"] or at.date() - timedelta(days=1)
        if day is not None and day >= at.date():
            raise CommandError("That day is not over; its activity is known once it is (UTC).", returncode=2)
        report = reconcile(day=day, at=at, calls=options["calls"], wait=options["wait"])
        if options["json"]:
            self.stdout.write(dumps_text(wire_form(as_json(report))))
        else:
            self._tell(report)
        if report.open:
            raise CommandError(f"{len(report.open)} unexplained differences", returncode=1)
        if report.errors:
            raise CommandError("; ".join(report.errors), returncode=2)

    def _tell(self, report: Report) -> None:
        for scope, count in sorted(report.compared.items()):
            self.stdout.write(f"{scope}: {count} compared")
        for item in report.unsettled:
            self.stdout.write(f"not settled yet: {item['scope']} {item['subject']}: {item['reason']}")
        for row in report.open:
            self.stdout.write(
                f"DIFFERENCE {row.scope} {row.subject}: ours {to_wire(row.ours)}, theirs {to_wire(row.theirs)}, "
                f"difference {to_wire(row.difference)} USD; owner {row.owner}, open since {row.found_at:%Y-%m-%d}"
            )
        if report.is_clean:
            self.stdout.write("Both sets of books agree.")
