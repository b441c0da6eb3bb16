"""Two customers' worth of tiers with round figures, and a month of thirty days to prorate."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.models import Organization
from accounts.principal import Actor
from credits.models import CreditAccount
from outbox.models import DomainEvent
from payments.models import Payment
from payments.services import mark_paid
from tests.builders import make_organization
from tiers.models import Subscription, Tier
from tiers.services import create_tier, switch_tier

ME = Actor("ada@example.com")
START = datetime(2026, 4, 1, 12, tzinfo=UTC)  # April has thirty days
END = datetime(2026, 5, 1, 12, tzinfo=UTC)
THIRD = START + timedelta(days=10)  # two thirds are left
HALF = START + timedelta(days=15)
OWN_KEY = {"slug": "byok", "monthly_credit": "0", "components": []}
TEN_PERCENT = {"type": "percentage", "percent": "10", "applies_to": "paid"}


def make_plans() -> dict[str, Tier]:
    """free 0; small 30 with 30 of credit; large 60 with 90; pro 60 with 60, or with one's own key."""
    managed = {"slug": "managed", "monthly_credit": "60", "components": [TEN_PERCENT]}
    plans: list[dict[str, Any]] = [
        {"slug": "free", "is_default": True, "position": 0},
        {"slug": "small", "monthly_price": Decimal(30), "monthly_credit": Decimal(30), "trial_days": 14},
        {"slug": "large", "monthly_price": Decimal(60), "monthly_credit": Decimal(90), "trial_days": 7},
        {
            "slug": "pro",
            "monthly_price": Decimal(60),
            "monthly_credit": Decimal(60),
            "components": [TEN_PERCENT],
            "options": [managed, OWN_KEY],
        },
    ]
    return {plan["slug"]: create_tier(at=START, name=plan["slug"].title(), **plan) for plan in plans}


def put_on(slug: str, collection: str = "automatic", at: datetime = START, **fields: Any) -> Organization:
    """An organization that pays for ``slug`` since ``at``, without credit yet."""
    tier = Tier.objects.get(slug=slug, retired_at=None)
    organization = make_organization(created_at=at)
    Subscription.objects.begin(organization=organization, tier=tier, at=at, collection=collection, **fields)
    return organization


def switch(organization: Organization, slug: str, at: datetime = HALF, **asked: Any):
    return switch_tier(organization_id=organization.id, tier_slug=slug, at=at, actor=ME, **asked)


def pay(payment: Payment, at: datetime) -> Payment:
    return mark_paid(payment_id=payment.id, actor="operator", reason="bank transfer", at=at)


def now_on(organization: Organization) -> Subscription:
    return Subscription.objects.open().select_related("tier").get(organization=organization)


def balance(organization: Organization) -> Decimal:
    return CreditAccount.objects.get(pk=organization.pk).balance


def told(organization: Organization) -> list[str]:
    """What was announced of its tier, in order of time; what was said at one instant by name."""
    events = DomainEvent.objects.filter(organization_id=organization.id).order_by("created_at", "type")
    return [type for type in events.values_list("type", flat=True) if type.startswith(("tier.", "subscription."))]
