"""``manage.py audit_budgets``: count every window of every budget again and list what differs."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.jsonio import dumps_text
from metering.budgets.audit import audit_budgets


class Command(BaseCommand):
    """Exit code 1 when anything differs."""

    help = "Recompute what windows of budgets have spent and hold, from events and holds, and report every difference."

    def add_arguments(self, parser: CommandParser) -> None:
        """One organization or all; text or JSON."""
        parser.add_argument("--organization", type=UUID)
        parser.add_argument("--json", action="store_true", help="print the differences as a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        """One budget after the other."""
        found = list(audit_budgets(options["organization"]))
        if options["json"]:
            self.stdout.write(dumps_text(found))
        for row in found if not options["json"] else ():
            self.stdout.write(f"FAIL  {row.rule}: {row.subject}: kept {row.kept}, computed {row.computed}")
        if found:
            raise CommandError(f"{len(found)} differences in the budgets")
        if not options["json"]:
            self.stdout.write("ok    every budget says what its events and holds say")
