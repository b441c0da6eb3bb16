"""Tiers that are shipped: what ``manage.py load_catalogue`` loads."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.principal import Actor
from tiers.models import ModelAccess, Tier
from tiers.services import create_tier, new_version

MANAGED_CREDITS = "managed-credits"

# The wallet guards against spending. These limits only keep one customer from crowding out the others, so they are
# wide; free models are the exception: the provider gives 20 requests a minute to all customers together.

_MANAGED_CREDITS: list[dict[str, Any]] = [
    {
        "slug": "free",
        "name": "Free",
        "description": "Free models and ten dollars of credit to begin with.",
        "welcome_credit": Decimal(10),
        "components": [{"type": "per_1k_tokens", "amount": "0.001", "applies_to": "all"}],
        "model_access": ModelAccess.FREE,
        "requests_per_minute": 6_000,
        "tokens_per_minute": 100_000_000,
        "free_requests_per_minute": 20,
        "entitlements": {"analytics_days": 7, "teams": False, "exports": ["csv"]},
        "is_default": True,
    },
    {
        "slug": "starter",
        "name": "Starter",
        "description": "Thirty dollars of credit a month, all models at ten per cent above cost.",
        "monthly_price": Decimal(30),
        "monthly_credit": Decimal(30),
        "components": [{"type": "percentage", "percent": "10", "applies_to": "paid"}],
        "requests_per_minute": 600_000,
        "tokens_per_minute": 2_000_000_000,
        "free_requests_per_minute": 20,
        "entitlements": {"analytics_days": 90, "teams": False, "exports": ["csv"]},
    },
    {
        "slug": "professional",
        "name": "Professional",
        "description": "Fifty dollars of credit a month at five per cent above cost, or your own OpenRouter key.",
        "monthly_price": Decimal(50),
        "monthly_credit": Decimal(50),
        "components": [{"type": "percentage", "percent": "5", "applies_to": "paid"}],
        "byok_allowed": True,
        "requests_per_minute": 600_000,
        "tokens_per_minute": 2_000_000_000,
        "free_requests_per_minute": 20,
        "entitlements": {"analytics_days": 90, "teams": False, "exports": ["csv", "json"]},
    },
    {
        "slug": "enterprise",
        "name": "Enterprise",
        "description": "A hundred dollars of credit a month at cost, or your own OpenRouter key; teams.",
        "monthly_price": Decimal(99),
        "monthly_credit": Decimal(100),
        "components": [],
        "byok_allowed": True,
        "requests_per_minute": 600_000,
        "tokens_per_minute": 2_000_000_000,
        "free_requests_per_minute": 20,
        "entitlements": {"analytics_days": None, "teams": True, "exports": ["csv", "json", "pdf"]},
    },
]

CATALOGUES = {MANAGED_CREDITS: _MANAGED_CREDITS}


@transaction.atomic
def load_catalogue(*, name: str, at: datetime, update: bool = False) -> list[Tier]:
    """Make the tiers of a shipped catalogue; the tiers that were made or changed.

    A tier that exists is an operator's to change and stays as it is; ``update`` gives each that differs a new version.
    """
    return [
        tier
        for position, fields in enumerate(CATALOGUES[name])
        if (tier := _load({**_BASE, **fields, "position": position, "catalogue": name}, at, update)) is not None
    ]


_BASE: dict[str, Any] = {
    "monthly_price": Decimal(0),
    "monthly_credit": Decimal(0),
    "welcome_credit": Decimal(0),
    "overage_limit": Decimal(0),
    "model_access": ModelAccess.ALL,
    "model_ids": [],
    "byok_allowed": False,
    "is_public": True,
    "is_default": False,
}


def _load(fields: dict[str, Any], at: datetime, update: bool) -> Tier | None:
    current = Tier.objects.current().filter(slug=fields["slug"]).first()
    if current is None:
        # An operator's own default stays the default.
        has_default = Tier.objects.default() is not None
        return create_tier(at=at, **{**fields, "is_default": fields["is_default"] and not has_default})
    changes = {field: value for field, value in fields.items() if getattr(current, field) != value}
    changes.pop("is_default", None)
    if not update or not changes:
        return None
    return new_version(tier_id=current.id, changes=changes, at=at, actor=Actor("load_catalogue"))
