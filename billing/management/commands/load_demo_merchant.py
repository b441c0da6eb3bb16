"""``manage.py load_demo_merchant``: an organization that sells to customers of its own; once, safe to run again."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Mode, Organization
from accounts.principal import Actor
from billing import services
from billing.models import Benefit, Customer, PriceKind, Product
from billing.services import PriceTerms
from metering.customer_events import CustomerEvent
from metering.meters.models import Meter
from metering.services import create_meter, ingest_events

_LOCK = 0x6D657263  # "merc"
ACTOR = Actor("demo data")
DAYS = 40
PAYS = "ctoken_test_success"
# name, external id, plan, tokens on an ordinary day
PEOPLE = (
    ("Harbour Analytics", "harbour", "Pro", 52_000),
    ("Juniper Studio", "juniper", "Pro", 18_000),
    ("Marlow & Finch", "marlow", "Starter", 6_000),
    ("Osprey Labs", "osprey", "Pro", 81_000),
    ("Quill", "quill", "Starter", 1_500),
    ("Tern Logistics", "tern", "", 0),
)


class Command(BaseCommand):
    """Meters, benefits, products, customers, forty days of use and one renewal, through the services."""

    help = "Load demo data of an organization that sells to customers of its own."

    def handle(self, *args: Any, **options: Any) -> None:
        """All of it or nothing."""
        merchant = Organization.objects.filter(mode=Mode.LIVE).order_by("created_at", "id").first()
        if merchant is None:
            self.stdout.write("There is no organization yet that could sell anything.")
            return
        with transaction.atomic():
            _wait_for_others()
            if Customer.objects.filter(organization=merchant).exists():
                self.stdout.write("The demo customers are there already.")
                return
            _Shop(merchant, timezone.now()).tell()
        self.stdout.write(f"Demo customers of {merchant.name}: {len(PEOPLE)}.")


def _wait_for_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


class _Shop:
    """A merchant, from the first meter to today."""

    def __init__(self, merchant: Organization, now: datetime) -> None:
        self._now, self._begun = now, now - timedelta(days=DAYS)
        self._who: dict[str, Any] = {"organization_id": merchant.id, "actor": ACTOR}
        self._merchant = merchant
        self._chance = Random(7)  # noqa: S311  (the same story every time)

    def tell(self) -> None:
        """In the order in which it happened."""
        tokens, included, pack = self._offer()
        plans = self._plans(tokens, included)
        customers = [self._customer(*person, plans) for person in PEOPLE]
        for day in range(DAYS):
            at = self._begun + timedelta(days=day, hours=1)
            self._use(customers, at)
            services.renew_due(at=at + timedelta(hours=1))
        self._buy(customers[0], pack, self._now - timedelta(hours=5))
        services.tell_states(at=self._now)

    def _offer(self) -> tuple[Meter, list[Benefit], Product]:
        clause = {"property": "name", "operator": "eq", "value": "llm-usage"}
        tokens = create_meter(
            organization_id=self._merchant.id,
            name="Tokens",
            filter={"conjunction": "and", "clauses": [clause]},
            aggregation={"func": "sum", "property": "totalTokens"},
            unit="tokens",
            actor=ACTOR.label,
            at=self._begun,
        )
        included = [
            self._benefit(tokens, 100_000, rollover=False),
            self._benefit(tokens, 1_000_000, rollover=False),
        ]
        pack = services.create_product(
            name="500,000 more tokens",
            prices=[PriceTerms(kind=PriceKind.FIXED, price_amount=400)],
            at=self._begun,
            **self._who,
        )
        more = self._benefit(tokens, 500_000, rollover=True)
        self._attach(pack, more)
        return tokens, included, pack

    def _benefit(self, meter: Meter, units: int, *, rollover: bool) -> Benefit:
        return services.create_benefit(
            type="meter_credit",
            description=f"{units:,} tokens",
            meter_id=meter.id,
            units=units,
            rollover=rollover,
            at=self._begun,
            **self._who,
        )

    def _attach(self, product: Product, benefit: Benefit) -> None:
        services.attach_benefits(product_id=product.id, benefit_ids=[benefit.id], at=self._begun, **self._who)

    def _plans(self, tokens: Meter, included: list[Benefit]) -> dict[str, Product]:
        plans = {}
        for (name, cents, unit, cap), benefit in zip(
            (("Starter", 900, "0.0012", 2_000), ("Pro", 2_900, "0.0008", None)), included, strict=True
        ):
            over = PriceTerms(
                kind=PriceKind.METERED_UNIT, meter_id=tokens.id, unit_amount=Decimal(unit), cap_amount=cap
            )
            plans[name] = services.create_product(
                name=name,
                description=f"{benefit.description} a month, then by use.",
                recurring_interval="month",
                prices=[PriceTerms(kind=PriceKind.FIXED, price_amount=cents), over],
                at=self._begun,
                **self._who,
            )
            self._attach(plans[name], benefit)
        return plans

    def _customer(
        self, name: str, external_id: str, plan: str, daily: int, plans: dict[str, Product]
    ) -> tuple[Customer, int]:
        customer = services.create_customer(
            email=f"billing@{external_id}.example",
            external_id=external_id,
            name=name,
            at=self._begun,
            **self._who,
        )
        if plan:
            self._buy((customer, daily), plans[plan], self._begun + timedelta(minutes=10))
        return customer, daily

    def _buy(self, customer: tuple[Customer, int], product: Product, at: datetime) -> None:
        checkout = services.open_checkout(product_ids=[product.id], customer_id=customer[0].id, at=at, **self._who)
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=at)

    def _use(self, customers: list[tuple[Customer, int]], at: datetime) -> None:
        events = []
        for customer, daily in customers:
            for part in range(3 if daily else 0):
                total = daily * self._chance.randint(60, 140) // 300
                prompt = total * 3 // 4
                call = {"vendor": "openai", "model": "gpt-4o-mini", "input_tokens": prompt, "total_tokens": total}
                call["output_tokens"] = total - prompt
                events.append(
                    CustomerEvent(
                        name="llm-usage",
                        external_customer_id=customer.external_id,
                        external_id=f"demo-{customer.external_id}-{at:%Y%m%d}-{part}",
                        metadata={"totalTokens": total, "model": "gpt-4o-mini", "_llm": call},
                    )
                )
        ingest_events(organization_id=self._merchant.id, events=events, at=at)
