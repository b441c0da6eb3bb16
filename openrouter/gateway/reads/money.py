"""``GET /key`` and ``GET /credits``: what the calling key has spent and may still spend."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import ApiKey
from accounts.principal import Principal
from core.money import ZERO
from credits.models import CreditAccount, SpendLimit
from metering.models import UsageDay
from tiers.terms import TierTerms

_MINUTES_A_DAY = 24 * 60


def key_document(principal: Principal, terms: TierTerms) -> dict[str, Any]:
    """The calling key about itself. ``limit_remaining`` is the least of what key and wallet leave."""
    key = ApiKey.objects.get(id=str(principal.api_key_id))
    available = _available(principal)
    key_left = _left_of_key(principal)
    left = available if key_left is None else min(key_left, available)
    return {
        "data": {
            "label": f"{key.prefix}…{key.last_four}",
            "name": key.name,
            "disabled": False,
            "limit": principal.spend_limit,
            "limit_remaining": left,
            "limit_reset": None,
            "include_byok_in_limit": False,
            **_usage(principal),
            "is_management_key": False,
            "is_provisioning_key": False,
            "is_free_tier": terms.model_access == "free",
            "creator_user_id": None,
            "organization_id": str(principal.organization_id),
            "workspace_id": None,
            "expires_at": key.expires_at,
            "created_at": key.created_at,
            "allowed_data_regions": ["global"],
            "free_model_daily_requests": _free_calls(principal, terms),
            "budgets": [],
            "effective_budget": None,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "See the x-ratelimit headers."},
            "farebox": {
                "available": available,
                "key_limit_remaining": key_left,
                "binding": "key" if key_left is not None and key_left < available else "wallet",
                "tier": terms.slug,
                "mode": principal.mode,
                "requests_per_minute": principal.requests_per_minute or terms.requests_per_minute,
                "tokens_per_minute": principal.tokens_per_minute or terms.tokens_per_minute,
            },
        }
    }


def credits_document(principal: Principal) -> dict[str, Any]:
    """All credit ever usable and used: their difference is the balance."""
    account = CreditAccount.objects.filter(pk=principal.organization_id).first()
    balance = account.balance if account is not None else ZERO
    used = _charged(UsageDay.objects.filter(organization_id=principal.organization_id))
    return {"data": {"total_credits": balance + used, "total_usage": used}}


def _available(principal: Principal) -> Decimal:
    account = CreditAccount.objects.filter(pk=principal.organization_id).first()
    return ZERO if account is None else account.available + account.overage_limit


def _left_of_key(principal: Principal) -> Decimal | None:
    """What the key's own limit leaves; None without one."""
    if principal.spend_limit_id is None:
        return None
    limit = SpendLimit.objects.filter(pk=principal.spend_limit_id).first()
    if limit is None:
        return principal.spend_limit
    return max(limit.ceiling + limit.excess - limit.spent - limit.held, ZERO)


def _usage(principal: Principal) -> dict[str, Decimal]:
    """Charges of this key: ever, and in the running UTC day, week and month."""
    days = UsageDay.objects.filter(organization_id=principal.organization_id, api_key_id=principal.api_key_id)
    today = timezone.now().date()
    starts = {"_daily": today, "_weekly": today - timedelta(days=today.weekday()), "_monthly": today.replace(day=1)}
    figures = {"usage": _charged(days), "byok_usage": _own_cost(days)}
    for suffix, start in starts.items():
        since = days.filter(day__gte=start)
        figures |= {f"usage{suffix}": _charged(since), f"byok_usage{suffix}": _own_cost(since)}
    return figures


def _free_calls(principal: Principal, terms: TierTerms) -> dict[str, int]:
    """Calls of free models today by the whole organization, and the most that its share per minute lets it make."""
    today = UsageDay.objects.filter(organization_id=principal.organization_id, day=timezone.now().date(), is_free=True)
    used = today.aggregate(total=Coalesce(Sum("events"), 0))["total"]
    limit = terms.free_requests_per_minute * _MINUTES_A_DAY
    return {"used": used, "limit": limit, "remaining": max(limit - used, 0)}


def _charged(days: Any) -> Decimal:
    return days.aggregate(total=Coalesce(Sum("charge"), ZERO))["total"]


def _own_cost(days: Any) -> Decimal:
    return days.aggregate(total=Coalesce(Sum("byok_cost"), ZERO))["total"]
