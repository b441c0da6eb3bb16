"""``manage.py create_organization --email E --tier T --credit 10.00 --json``: a ready-to-use customer, for scripts."""

import json
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from accounts.models import Mode, Organization, User
from accounts.principal import Actor
from accounts.scopes import Scope
from accounts.services import KeyTerms, create_api_key, create_organization
from core.errors import DomainError
from core.money import InvalidAmount, parse_money
from credits.models import LotKind
from credits.services import grant_credits

ACTOR = Actor("create_organization")


class Command(BaseCommand):
    """Makes an organization with a tier, credit and an API key; safe beside a running server."""

    help = "Create an organization with an owner, a tier, credit and an API key (shown once)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, on what terms, with how much."""
        parser.add_argument("--email", required=True, help="The owner; made when new, without a password.")
        parser.add_argument("--tier", help="Name of a tier, for example starter; without it, the default tier.")
        parser.add_argument("--credit", default="0", help="USD to grant, for example 10.00.")
        parser.add_argument("--name", help="Of the organization; without it, made from the e-mail address.")
        parser.add_argument("--scopes", help=f"Comma-separated; without it, all: {', '.join(Scope.values)}.")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.LIVE, help="Whose key and credit.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create everything or nothing, then print it."""
        credit = _credit(options["credit"])
        scopes = tuple(filter(None, (options["scopes"] or ",".join(Scope.values)).split(",")))
        email = _email(options["email"])
        try:
            made = _create(email, options["name"], options["tier"], credit, scopes, options["mode"])
        except DomainError as error:
            raise CommandError(_explain(error)) from None
        self.stdout.write(json.dumps(made) if options["json"] else _as_text(made))


@transaction.atomic
def _create(
    email: str, name: str | None, tier: str | None, credit: Decimal, scopes: tuple[str, ...], mode: str
) -> dict[str, str]:
    now = timezone.now()
    owner = User.objects.filter(email__iexact=email).first() or User.objects.create_user(email)
    live = create_organization(name=name or email.partition("@")[0], owner=owner, tier_slug=tier, actor=ACTOR, at=now)
    organization: Organization = live if mode == Mode.LIVE else live.test_twin
    if credit:
        grant_credits(
            organization_id=organization.id,
            amount=credit,
            kind=LotKind.BONUS,
            reason="Opening credit",
            actor=ACTOR.label,
            at=now,
        )
    terms = KeyTerms(scopes=scopes)
    _, secret = create_api_key(organization=organization, name="First key", terms=terms, actor=ACTOR, at=now)
    gateway = f"{settings.PUBLIC_URL.rstrip('/')}/api/v1"
    return {
        "organization": str(organization.id),
        "api_key": secret,
        "gateway_url": gateway,
        "balance_url": f"{gateway}/credits/balance",
    }


def _credit(text: str) -> Decimal:
    try:
        amount = parse_money(text)
    except InvalidAmount as error:
        raise CommandError(f"--credit {text}: {error}") from None
    if amount < 0:
        raise CommandError(f"--credit {text}: The amount cannot be negative.")
    return amount


def _email(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise CommandError(f"--email {text}: This is not an e-mail address.") from None
    return text


def _explain(error: DomainError) -> str:
    tiers = error.facts.get("tiers")
    if tiers is None:
        return error.detail
    return f"{error.detail} There are: {', '.join(tiers) or 'none yet; run manage.py load_catalogue'}."


def _as_text(made: dict[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in made.items())
