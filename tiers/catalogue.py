"""Tiers that are shipped: what ``manage.py load_catalogue`` loads."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.principal import Actor
from tiers.components import checked_components
from tiers.entitlements import checked_entitlements
from tiers.models import ModelAccess, Tier
from tiers.options import checked_options
from tiers.services import create_tier, new_version

MANAGED_CREDITS, PROMPT_LAB = "managed-credits", "prompt-lab"

# The wallet guards against spending. These limits only keep one customer from crowding out the others, so they are
# wide; free models are the exception: the provider gives 20 requests a minute to all customers together.
_WIDE = {"requests_per_minute": 600_000, "tokens_per_minute": 2_000_000_000, "free_requests_per_minute": 20}
_FREE = {"requests_per_minute": 6_000, "tokens_per_minute": 100_000_000, "free_requests_per_minute": 20}
_TRIAL_DAYS = 14


def _percent(percent: str) -> dict[str, str]:
    return {"type": "percentage", "percent": percent, "applies_to": "paid"}


def _or_own_key(monthly_credit: str, components: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Credit with its markup, or one's own provider key: no credit, no markup, the same price."""
    return [
        {"slug": "managed", "monthly_credit": monthly_credit, "components": components},
        {"slug": "byok", "monthly_credit": "0", "components": []},
    ]


_MANAGED_CREDITS: list[dict[str, Any]] = [
    {
        "slug": "free",
        "name": "Free",
        "description": "Free models and ten dollars of credit to begin with.",
        "welcome_credit": Decimal(10),
        "components": [{"type": "per_1k_tokens", "amount": "0.001", "applies_to": "all"}],
        "model_access": ModelAccess.FREE,
        **_FREE,
        "entitlements": {
            "token_preview": "basic",
            "cost_tracking": "limited",
            "budget_periods": ["monthly"],
            "budget_scopes": ["organization"],
            "analytics_days": None,
            "dashboards": ["basic"],
            "recommendations": "tips",
            "exports": ["csv", "json", "pdf"],
            "scheduled_reports": [],
            "teams": False,
            "api_access": True,
        },
        "is_default": True,
    },
    {
        "slug": "starter",
        "name": "Starter",
        "description": "Thirty dollars of credit a month, all models at ten per cent above cost.",
        "monthly_price": Decimal(30),
        "monthly_credit": Decimal(30),
        "components": [_percent("10")],
        "trial_days": _TRIAL_DAYS,
        **_WIDE,
        "entitlements": {
            "token_preview": "full",
            "cost_tracking": "detailed",
            "budget_periods": ["monthly"],
            "budget_scopes": ["organization", "api_key", "model"],
            "analytics_days": None,
            "dashboards": ["personal"],
            "recommendations": "recommendations",
            "exports": ["csv", "json", "pdf"],
            "scheduled_reports": [],
            "teams": False,
            "api_access": True,
        },
    },
    {
        "slug": "professional",
        "name": "Professional",
        "description": "Fifty dollars of credit a month at five per cent above cost, or your own OpenRouter key.",
        "monthly_price": Decimal(50),
        "monthly_credit": Decimal(50),
        "components": [_percent("5")],
        "options": _or_own_key("50", [_percent("5")]),
        "byok_allowed": True,
        "trial_days": _TRIAL_DAYS,
        **_WIDE,
        "entitlements": {
            "token_preview": "full",
            "cost_tracking": "detailed",
            "budget_periods": ["daily", "monthly"],
            "budget_scopes": ["organization", "api_key", "model", "tag"],
            "analytics_days": None,
            "dashboards": ["personal"],
            "recommendations": "recommendations",
            "exports": ["csv", "json", "pdf"],
            "scheduled_reports": ["csv"],
            "teams": False,
            "api_access": True,
        },
    },
    {
        "slug": "enterprise",
        "name": "Enterprise",
        "description": "A hundred dollars of credit a month at cost, or your own OpenRouter key; teams.",
        "monthly_price": Decimal(99),
        "monthly_credit": Decimal(100),
        "components": [],
        "options": _or_own_key("100", []),
        "byok_allowed": True,
        "trial_days": _TRIAL_DAYS,
        **_WIDE,
        "entitlements": {
            "token_preview": "full",
            "cost_tracking": "detailed",
            "budget_periods": ["daily", "weekly", "monthly", "total"],
            "budget_scopes": ["organization", "team", "member", "api_key", "model", "tag"],
            "analytics_days": None,
            "dashboards": ["team", "personal"],
            "recommendations": "ai",
            "exports": ["csv", "json", "pdf"],
            "scheduled_reports": ["csv", "pdf"],
            "teams": True,
            "api_access": True,
        },
    },
]

# The lab sells insight, not tokens: calls cost what the provider charges, from bought credit or on one's own key.
_PROMPT_LAB: list[dict[str, Any]] = [
    {
        "slug": "lab-free",
        "name": "Free",
        "description": "See what a prompt costs before it runs; a week of history.",
        "byok_allowed": True,
        **_FREE,
        "entitlements": {
            "token_preview": "basic",
            "cost_tracking": "limited",
            "budget_periods": [],
            "budget_scopes": [],
            "analytics_days": 7,
            "dashboards": ["basic"],
            "recommendations": "tips",
            "exports": [],
            "scheduled_reports": [],
            "teams": False,
            "api_access": False,
        },
        "is_default": True,
    },
    {
        "slug": "lab-teams",
        "name": "Teams",
        "description": "Full previews, monthly budgets, ninety days of history, recommendations and CSV exports.",
        "monthly_price": Decimal(5),
        "byok_allowed": True,
        "trial_days": _TRIAL_DAYS,
        **_WIDE,
        "entitlements": {
            "token_preview": "full",
            "cost_tracking": "detailed",
            "budget_periods": ["monthly"],
            "budget_scopes": ["organization", "api_key", "model", "tag"],
            "analytics_days": 90,
            "dashboards": ["personal"],
            "recommendations": "recommendations",
            "exports": ["csv"],
            "scheduled_reports": [],
            "teams": False,
            "api_access": False,
        },
    },
    {
        "slug": "lab-enterprise",
        "name": "Enterprise",
        "description": "Budgets for every member and department, all history, AI advice, PDF reports and the full API.",
        "monthly_price": Decimal(27),
        "byok_allowed": True,
        "trial_days": _TRIAL_DAYS,
        **_WIDE,
        "entitlements": {
            "token_preview": "full",
            "cost_tracking": "detailed",
            "budget_periods": ["daily", "monthly"],
            "budget_scopes": ["organization", "team", "member", "api_key", "model", "tag"],
            "analytics_days": None,
            "dashboards": ["team", "personal"],
            "recommendations": "ai",
            "exports": ["csv", "pdf"],
            "scheduled_reports": ["pdf"],
            "teams": True,
            "api_access": True,
        },
    },
]

CATALOGUES = {MANAGED_CREDITS: _MANAGED_CREDITS, PROMPT_LAB: _PROMPT_LAB}


@transaction.atomic
def load_catalogue(*, name: str, at: datetime, update: bool = False) -> list[Tier]:
    """Make the tiers of a shipped catalogue; the tiers that were made or changed.

    A tier that exists is an operator's to change and stays as it is; ``update`` gives each that differs a new version.
    """
    return [
        tier
        for position, fields in enumerate(CATALOGUES[name])
        if (tier := _load(_stored({**fields, "position": position, "catalogue": name}), at, update)) is not None
    ]


_BASE: dict[str, Any] = {
    "monthly_price": Decimal(0),
    "monthly_credit": Decimal(0),
    "welcome_credit": Decimal(0),
    "overage_limit": Decimal(0),
    "model_access": ModelAccess.ALL,
    "model_ids": [],
    "components": [],
    "byok_allowed": False,
    "options": [],
    "trial_days": 0,
    "is_public": True,
    "is_default": False,
}


def _stored(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields in the form in which a tier keeps them, so that they can be compared with it."""
    fields = {**_BASE, **fields}
    return {
        **fields,
        "components": checked_components(fields["components"]),
        "options": checked_options(fields["options"]),
        "entitlements": checked_entitlements(fields["entitlements"]),
    }


def _load(fields: dict[str, Any], at: datetime, update: bool) -> Tier | None:
    current = Tier.objects.newest().filter(slug=fields["slug"]).first()
    if current is None:
        # An operator's own default stays the default.
        has_default = Tier.objects.newest().filter(is_default=True).exists()
        return create_tier(at=at, **{**fields, "is_default": fields["is_default"] and not has_default})
    changes = {field: value for field, value in fields.items() if getattr(current, field) != value}
    changes.pop("is_default", None)
    if not update or not changes:
        return None
    return new_version(tier_id=current.id, changes=changes, at=at, actor=Actor("load_catalogue"))
