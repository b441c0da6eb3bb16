"""``manage.py audit_ledger``: compute every balance again and list what differs."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.jsonio import dumps_text
from credits.audit import RULES, audit_rule


class Command(BaseCommand):
    """Exit code 1 when anything differs."""

    help = "Recompute balances, holds and lots from the ledger and report every difference."

    def add_arguments(self, parser: CommandParser) -> None:
        """One organization or all; text or JSON."""
        parser.add_argument("--organization", type=UUID)
        parser.add_argument("--json", action="store_true", help="print the differences as a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run rule by rule, so that a long audit shows where it is."""
        found = []
        for rule in RULES:
            broken = list(audit_rule(rule, options["organization"]))
            found += broken
            if not options["json"]:
                self.stdout.write(f"{'ok  ' if not broken else 'FAIL'}  {rule}")
                for row in broken[:20]:
                    self.stdout.write(
                        f"      {row.organization_id} {row.subject}: kept {row.kept}, computed {row.computed}"
                    )
        if options["json"]:
            self.stdout.write(dumps_text(found))
        if found:
            raise CommandError(f"{len(found)} differences in the books")
