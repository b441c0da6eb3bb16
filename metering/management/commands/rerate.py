"""``manage.py rerate``: charge usage anew by a corrected price; tried first, applied or reversed when told to."""

from argparse import ArgumentTypeError
from datetime import date
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.principal import Actor
from core import jsonio
from core.errors import DomainError
from core.money import to_wire
from metering.rerating.models import Rerating, ReratingStatus
from metering.rerating.services import apply_rerating, days_of, reverse_rerating, try_rerating, work_off_reratings


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("a day like 2026-03-01") from None


class Command(BaseCommand):
    """``rerate try PRICE --pricing … --from … --to … --reason …``, ``rerate apply ID``, ``rerate reverse ID``."""

    help = "Charge usage anew by a corrected price. Trying moves nothing; applying can be reversed."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do, with what."""
        parser.add_argument("action", choices=["try", "apply", "reverse"])
        parser.add_argument("id", type=UUID, help="of the price row to try, else of the re-rating")
        parser.add_argument("--pricing", help='the corrected price: {"prompt": "0.000001", "completion": "0.000002"}')
        parser.add_argument("--from", dest="first", type=_day)
        parser.add_argument("--to", dest="last", type=_day, help="included")
        parser.add_argument("--reason", default="")
        parser.add_argument("--actor", required=True, help="who does it, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        """Through the services; applying and reversing go on until they are done."""
        try:
            rerating = self._act(options, Actor(options["actor"]))
        except DomainError as refusal:
            raise CommandError(refusal.detail) from None
        for row in rerating.report:
            figures = f"{row['before']} → {row['after']} ({row['difference']})"
            self.stdout.write(f"{row['organization_id']}  {row['name']}: {row['events']} events, {figures} USD")
        facts = f"{rerating.status}, {rerating.expected} events, {to_wire(rerating.difference)} USD"
        self.stdout.write(f"Re-rating {rerating.pk}: {facts}")

    def _act(self, options: dict[str, Any], actor: Actor) -> Rerating:
        at = timezone.now()
        if options["action"] == "try":
            rerating = self._try(options, actor)
            while rerating.status == ReratingStatus.TRYING and work_off_reratings():
                rerating.refresh_from_db()
            return rerating
        decide = apply_rerating if options["action"] == "apply" else reverse_rerating
        rerating = decide(rerating_id=options["id"], actor=actor, at=at)
        while work_off_reratings():
            pass
        rerating.refresh_from_db()
        return rerating

    def _try(self, options: dict[str, Any], actor: Actor) -> Rerating:
        if not (options["pricing"] and options["first"] and options["last"]):
            raise CommandError("Trying needs --pricing, --from and --to.")
        try:
            pricing = jsonio.loads(options["pricing"])
        except ValueError:
            raise CommandError("--pricing is not JSON.") from None
        start, end = days_of(options["first"], options["last"])
        return try_rerating(
            price_id=options["id"],
            pricing=pricing,
            starts_at=start,
            ends_at=end,
            reason=options["reason"],
            actor=actor,
            at=timezone.now(),
        )
