"""``manage.py generate_coupons``: many codes at once, written as CSV."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.models import Mode
from accounts.principal import Actor
from core.errors import DomainError, InvalidRequest
from core.money import InvalidAmount, parse_money
from coupons.exports import coupon_csv
from coupons.models import AppliesTo, Coupon, Kind
from coupons.services import generate_batch
from coupons.terms import Limits, Terms

_EXAMPLE = "manage.py generate_coupons --type bonus --amount 5 --count 500 --prefix ACME --partner Acme --csv codes.csv"


class Command(BaseCommand):
    """Generates a batch of coupons."""

    help = f"Generate coupons and write them as CSV. Example: {_EXAMPLE}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What each code gives, its limits, and where the codes go."""
        parser.add_argument("--type", required=True, choices=Kind.values)
        parser.add_argument("--count", required=True, type=int)
        parser.add_argument("--prefix", default="")
        parser.add_argument("--amount", help="bonus: USD of credit")
        parser.add_argument("--credit-days", type=int, help="bonus: days until the credit expires")
        parser.add_argument("--percent", help="percent: how much less payments cost")
        parser.add_argument("--applies-to", choices=AppliesTo.values, help="percent: which payments (default any)")
        parser.add_argument("--periods", type=int, help="payments or months; without on percent: every payment")
        parser.add_argument("--tier", default="", help="tier: which tier is lent")
        parser.add_argument("--max-uses", type=int, default=1, help="of each code; 0: no limit (default 1)")
        parser.add_argument("--per-organization", type=int, default=1, help="over all codes; 0: no limit (default 1)")
        parser.add_argument("--starts", help="an instant with its offset, e.g. 2026-05-01T00:00:00Z")
        parser.add_argument("--ends", help="the same; the codes can be redeemed before it")
        parser.add_argument("--only-tiers", nargs="*", default=[], help="only organizations on these tiers")
        parser.add_argument("--first-purchase-only", action="store_true")
        parser.add_argument("--partner", default="")
        parser.add_argument("--reason", default="", help="for the audit trail")
        parser.add_argument("--test", action="store_true", help="for test books")
        parser.add_argument("--csv", default="-", help="the file to write; - (default) writes to the terminal")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make them, then write them: a file that cannot be written is told before anything is made."""
        if options["csv"] == "-":
            self.stdout.write("".join(self._lines(options)), ending="")
            return
        try:
            with Path(options["csv"]).open("x", encoding="utf-8", newline="") as file:
                file.writelines(self._lines(options))
        except OSError as error:
            raise CommandError(f"The file cannot be written: {error}") from None

    def _lines(self, options: dict[str, Any]) -> list[str]:
        try:
            batch = generate_batch(
                prefix=options["prefix"],
                count=options["count"],
                terms=_terms(options),
                mode=Mode.TEST if options["test"] else Mode.LIVE,
                actor=Actor("generate_coupons"),
                at=timezone.now(),
            )
        except (DomainError, InvalidAmount) as refusal:
            raise CommandError(str(refusal)) from None
        self.stderr.write(f"{batch.size} codes in batch {batch.id}")
        return list(coupon_csv(Coupon.objects.filter(batch=batch).order_by("code"), timezone.now()))


def _terms(options: dict[str, Any]) -> Terms:
    kind = options["type"]
    months = 1 if kind in (Kind.FREE_PERIOD, Kind.TIER) else None
    applies_to = AppliesTo.ANY.value if kind == Kind.PERCENT else ""
    return Terms(
        kind=kind,
        amount=None if options["amount"] is None else parse_money(options["amount"]),
        credit_days=options["credit_days"],
        percent=None if options["percent"] is None else parse_money(options["percent"]),
        applies_to=options["applies_to"] or applies_to,
        periods=options["periods"] if options["periods"] is not None else months,
        tier_slug=options["tier"],
        partner=options["partner"],
        note=options["reason"],
        limits=Limits(
            max_uses=options["max_uses"] or None,
            max_uses_per_organization=options["per_organization"] or None,
            starts_at=_moment(options["starts"]),
            ends_at=_moment(options["ends"]),
            tiers=tuple(options["only_tiers"]),
            first_purchase_only=options["first_purchase_only"],
        ),
    )


def _moment(text: str | None) -> Any:
    if text is None:
        return None
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(f"{text!r} is no instant with an offset, for example 2026-05-01T00:00:00Z.")
    return moment
