"""More of what examples are made of: teams, analytics and reports of the story that ``samples`` tells."""

from typing import Any

_ID, _OTHER_ID = "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10", "0193a1f2-9a02-7f11-8c54-0e7d2b9a6c31"
_MODEL = "openai/gpt-4o-mini"
_DAY, _NEXT_DAY = "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"
_SUMS: dict[str, Any] = {
    "events": 1,
    "errors": 0,
    "prompt_tokens": 1200,
    "completion_tokens": 350,
    "provider_cost": "0.00039",
    "markup": "0.000039",
    "charge": "0.000429",
    "byok_cost": "0",
    "latency_ms": 900,
}

BY_SCHEMA: dict[str, dict[str, Any]] = {
    "Team": {"name": "Search", "slug": "search", "department_id": None, "member_count": 3, "key_count": 1},
    "TeamRequest": {"name": "Search", "department_id": None},
    "PatchedTeamRequest": {"name": "Search and ranking", "department_id": None},
    "AnalyticsRow": {
        "start": None,
        "group": {"team": _ID, "model": _MODEL},
        "names": {"team": "Search"},
        "previous": None,
    },
    "AnalyticsAnswer": {"group_by": ["team", "model"], "granularity": None, "previous": None, "row_count": 1},
    "ReportSubscription": {
        "subject": "Search",
        "cadence": "weekly",
        "format": "pdf",
        "next_day": "2026-03-02",
        "next_at": "2026-03-09T07:00:00Z",
        "refused_at": None,
    },
    "ReportRecipient": {"email": "ada@example.com", "unsubscribed_at": None},
    "ReportRequest": {"cadence": "weekly", "format": "pdf", "team_id": _ID, "member_ids": [_OTHER_ID]},
    "Report": {"subject": "Search", "first_day": "2026-03-02", "last_day": "2026-03-08", "recipients": 1},
}
BY_SCHEMA["ReportDetail"] = {
    **BY_SCHEMA["Report"],
    "figures": {
        "days": ["2026-03-02", "2026-03-08"],
        "total": _SUMS,
        "previous": None,
        "by_day": [{"day": "2026-03-02", "charge": "0.000429"}],
        "breakdowns": [{"by": "model", "lines": [{"name": _MODEL, **_SUMS, "previous": None}]}],
    },
}

_FOCUS = {
    "BilledCost": "0.000429",
    "BillingAccountId": _ID,
    "BillingAccountName": "Ada's company",
    "BillingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargePeriodEnd": _NEXT_DAY,
    "ChargePeriodStart": _DAY,
    "ConsumedQuantity": "1550",
    "ConsumedUnit": "Tokens",
    "EffectiveCost": "0.000429",
    "ServiceName": "Chat",
    "SkuId": f"chat:{_MODEL}",
    "SubAccountName": "Search",
}


def _focus() -> str:
    from metering.analytics.exports import FOCUS_COLUMNS

    return f"{','.join(FOCUS_COLUMNS)}\r\n{','.join(_FOCUS.get(name, '') for name in FOCUS_COLUMNS)}\r\n"


CSV: dict[str, str] = {
    "/api/v1/metering/analytics/export.csv": (
        "team,model,team_name,events,errors,prompt_tokens,completion_tokens,cached_tokens,cache_write_tokens,"
        "reasoning_tokens,quantity,provider_cost,markup,charge,byok_cost,latency_ms,latency_count\r\n"
        f"{_ID},{_MODEL},Search,1,0,1200,350,0,0,0,0,0.00039,0.000039,0.000429,0,900,1\r\n"
    ),
    "/api/v1/metering/analytics/focus.csv": _focus(),
}
