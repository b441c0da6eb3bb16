"""What examples are made of: one small story, so that figures in different answers belong together.

An organization on Starter has 10.00 USD. A chat call of 1,200 tokens in and 350 out costs 0.00039 USD at the provider,
10 % is added, 0.000429 USD is charged. Fields are found by name, whole objects by the name of their schema, and where
the same object says something else after a request, by the operation.
"""

from typing import Any

from config.openapi import samples_reports

ID = "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10"
OTHER_ID = "0193a1f2-9a02-7f11-8c54-0e7d2b9a6c31"
NOON, LATER = "2026-03-02T12:00:00Z", "2026-03-02T12:00:02Z"
MONTH, NEXT_MONTH = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
MODEL = "openai/gpt-4o-mini"

BY_FORMAT: dict[str, Any] = {
    "uuid": ID,
    "date-time": NOON,
    "date": "2026-03-02",
    "decimal": "10.00",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "binary": "",
    "byte": "",
}

BY_NAME: dict[str, Any] = {
    # who and what
    "name": "Production",
    "reason": "Goodwill",
    "actor": "ada@example.com",
    "created_by": "ada@example.com",
    "email": "ada@example.com",
    "model": MODEL,
    "provider": "OpenAI",
    "generation_id": "gen-1772452800-Ab3x",
    "external_id": "call-8f14e45f",
    "kind": "chat",
    "source": "api",
    "cost_source": "computed",
    "mode": "live",
    "label": "sk-or-v1-0e6...1c96",
    "key": "order-1042",
    "role": "admin",
    "time_zone": "UTC",
    "currency": "USD",
    "allowed_models": ["openai/*"],
    "allowed_networks": ["203.0.113.0/24"],
    "prefix": "fbx_live_Ab3x",
    "last_four": "9f3a",
    "secret": "fbx_live_Ab3x…9f3a",
    "purpose": "api",
    "tags": {"feature": "search"},
    "metadata": {},
    "problem": "",
    # tiers, coupons, payments
    "slug": "starter",
    "tier": "starter",
    "paid_tier": "starter",
    "tiers": [],
    "option": "managed",
    "catalogue": "managed-credits",
    "description": "Starter, March 2026",
    "title": "Starter",
    "month": "2026-03",
    "percent": "10",
    "applies_to": "paid",
    "code": "WELCOME10",
    "codes": ["PARTNER-7KQ2M9"],
    "offer": "10.00 USD of credit",
    "partner": "",
    "note": "",
    "failure_code": "",
    "failure_message": "",
    "pause_reason": "",
    "checkout_url": "https://pay.example.com/c/5f3a",
    "granularity": "day",
    "section": "model",
    # figures
    "balance": "10",
    "held": "0",
    "available": "10",
    "pending": "0",
    "overage": "0",
    "overage_limit": "0",
    "events": 1,
    "errors": 0,
    "attempts": 0,
    "prompt_tokens": 1200,
    "completion_tokens": 350,
    "total_tokens": 1550,
    "cached_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "quantity": "0",
    "cost": "0.00039",
    "provider_cost": "0.00039",
    "markup": "0.000039",
    "charge": "0.000429",
    "byok_cost": "0",
    "byok_usage": "0",
    "latency_ms": 900,
    "average_latency_ms": 900,
    "gross": "10.00",
    "discount": "0",
    "credits": "10.00",
    "refunded": "0",
    "returned": "0",
    "uses": 0,
    "requests_per_minute": 60,
    "tokens_per_minute": 100_000,
    "spend_limit": "25.00",
    "limit_remaining": "24.99961",
    "usage": "0.00039",
    "usage_daily": "0.00039",
    "usage_monthly": "0.00039",
    "monthly_price": "30.00",
    "monthly_credit": "30.00",
    "welcome_credit": "0",
    "replayed": False,
    "is_free": False,
    "is_byok": False,
    "paused_by_dispute": False,
    "index": 0,
    # times
    "from": MONTH,
    "to": NEXT_MONTH,
    "starts_at": MONTH,
    "ends_at": NEXT_MONTH,
    "period_starts_at": MONTH,
    "period_ends_at": NEXT_MONTH,
    "next_charge_at": NEXT_MONTH,
    "effective_from": MONTH,
    "effective_to": None,
    "expires_at": "2030-01-01T00:00:00Z",
    "credit_expires_at": "2030-01-01T00:00:00Z",
    "last_used_at": LATER,
    # what has not happened
    "revoked_at": None,
    "voided_at": None,
    "deactivated_at": None,
    "paused_at": None,
    "retry_at": None,
    "replaced_by_id": None,
    "reverses_id": None,
    "corrects_id": None,
    "replacement_id": None,
    "discount_id": None,
    "batch_id": None,
    "hold_id": None,
    "next": None,
    "previous": None,
}

_SUMS = {"events": 0, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "average_latency_ms": None}
_NOTHING = {**_SUMS, "provider_cost": "0", "markup": "0", "charge": "0"}
_NOTHING_BEFORE = {
    **_NOTHING,
    **dict.fromkeys(("errors", "cached_tokens", "cache_write_tokens", "reasoning_tokens"), 0),
    **dict.fromkeys(("quantity", "byok_cost"), "0"),
}
_HOLD = {"amount": "4", "key": "order-1042", "purpose": "api", "placed_at": NOON, "expires_at": "2026-03-02T12:15:00Z"}
_OPEN_HOLD = {**_HOLD, "status": "open", "settled_amount": None, "ended_at": None}

_TOLD = {"type": "credits.low", "state": "delivered", "attempts": 1, "next_attempt_at": None, "last_http_code": 200}
_ATTEMPT = {"type": "credits.low", "number": 1, "succeeded": True, "http_code": 200, "problem": "", "response": "ok"}
_HOOKS = {
    "url": "https://example.com/webhooks/farebox",
    "name": "Billing service",
    "events": ["credits.low", "credits.exhausted", "tier.changed"],
    "enabled": True,
    "disabled_reason": "",
    "disabled_at": None,
    "consecutive_failures": 0,
    "old_secret_ends_at": None,
    "secret": "whsec_9f3a…",
}

# Members of an object, by the name of its schema.
BY_SCHEMA: dict[str, dict[str, Any]] = {
    "Hold": _OPEN_HOLD,
    # Keys of the ledger are unique for ever: one example after the other must not meet an earlier one's.
    "AllocateRequest": {"key": "goodwill-1042"},
    "DeductRequest": {"key": "report-1042"},
    "RefundRequest": {"key": "refund-1042"},
    "PlacedHold": {**_OPEN_HOLD, "balance": "10", "held": "4", "available": "6"},
    "EndedHold": {
        **_HOLD,
        "status": "settled",
        "settled_amount": "1.5",
        "ended_at": LATER,
        "charged": "1.5",
        "balance": "8.5",
        "held": "0",
        "available": "8.5",
    },
    "EventHold": {"amount": "0.0006", "status": "settled"},
    "Entry": {"kind": "charge", "amount": "-0.000429", "balance_after": "9.999571", "reason": "", "event_id": OTHER_ID},
    "Allocation": {"kind": "purchased", "amount": "-0.000429"},
    "Part": {"kind": "purchased", "amount": "-0.000429"},
    "Lot": {"kind": "purchased", "amount": "10", "remaining": "9.999571", "held": "0", "priority": 30},
    "Event": {"entry_id": OTHER_ID, "name": "", "status": "ok", "received_at": LATER, "source": "gateway"},
    "Correction": {"event_id": ID, "reversal_entry_id": OTHER_ID},
    "ReceiptRow": {"label": "Prompt tokens", "sum": "1,200 × 0.00000015", "amount": "0.00018"},
    "Price": {"model": MODEL, "pricing": {"prompt": "0.00000015", "completion": "0.0000006"}, "source": "openrouter"},
    "Bucket": {"start": "2026-03-02T00:00:00Z"},
    "TagRow": {"key": "feature", "value": "search"},
    "ByTag": {"from": "2026-03-01", "to": "2026-03-31"},
    "Account": {"status": "active", "name": "Ada's company", "label": "sk-or-v1-0e6...1c96", "free_requests_used": 0},
    "Statement": {"number": None, "id": None},
    "UsageLine": {"label": MODEL},
    "Component": {"type": "percentage", "percent": "10", "applies_to": "paid"},
    "Feature": {"key": "analytics_days", "name": "History", "value": 90, "text": "90 days", "included": True},
    "Person": {"name": "Ada Lovelace"},
    "Organization": {"name": "Ada's company"},
    "Payment": {"status": "succeeded", "amount": "10.00", "paid_at": LATER, "provider": "manual", "attempts": 1},
    "PaymentNote": {"status": "open", "amount": "10.00"},
    "WebhookMessage": _TOLD,
    "WebhookDelivery": _ATTEMPT,
}
_MONTH = {
    "opening_balance": "0",
    "movements": {"granted.purchased": "10", "usage": "-0.000429"},
    "closing_balance": "9.999571",
}
for _name in ("Statement", "StatementDetail"):
    BY_SCHEMA[_name] = {"number": None, "id": None, "status": "open", "overage": "0", **_MONTH}
for _name in ("WebhookEndpoint", "NewWebhookEndpoint"):
    BY_SCHEMA[_name] = _HOOKS
for _name in ("Coupon", "Offer", "CreateCouponRequest", "GenerateCouponsRequest"):
    BY_SCHEMA[_name] = {
        "type": "bonus",
        "amount": "10.00",
        "percent": None,
        "applies_to": "",
        "periods": None,
        "tier": "",
    }
BY_SCHEMA["Coupon"] |= {"state": "active"}
BY_SCHEMA["Subscription"] = {"ends_at": None}  # it goes on
BY_SCHEMA["Redemption"] = {"type": "bonus", "percent": None, "applies_to": "", "periods": None, "tier": ""}
for _name in ("CreateCouponRequest", "GenerateCouponsRequest"):
    for _other in ("percent", "applies_to", "periods", "tier"):
        BY_SCHEMA[_name].pop(_other)
BY_SCHEMA |= samples_reports.BY_SCHEMA
BY_SCHEMA["GenerateCouponsRequest"] |= {"prefix": "PARTNER", "count": 100}

# Members that must not be in an example: they belong to another variant of the same object.
LEFT_OUT: dict[str, set[str]] = {
    "Component": {"amount"},
    "CreateCouponRequest": {"percent", "applies_to", "periods", "tier"},
    "GenerateCouponsRequest": {"percent", "applies_to", "periods", "tier"},
}

_TRACKED = {
    "status": "recorded",
    "event_id": ID,
    "external_id": "call-8f14e45f",
    "cost": "0.00039",
    "markup": "0.000039",
    "charge": "0.000429",
    "cost_source": "computed",
    "available": "9.999571",
}
_FIRST = {"index": 0, "status": "recorded", "event_id": ID, "external_id": "call-8f14e45f", "charge": "0.000429"}
_SECOND = {"index": 1, "status": "recorded", "event_id": OTHER_ID, "external_id": "search-17", "charge": "0.0055"}
_REFUSED = {
    "index": 1,
    "status": "refused",
    "external_id": "search-17",
    "charge": "0",
    "error": {"status": 402, "code": "insufficient_credits", "required": "0.0055", "available": "0"},
}

# Members of what an operation takes or answers, by its id: ``request``, or the status.
BY_OPERATION: dict[str, dict[str, dict[str, Any]]] = {
    "credits_allocate": {
        "request": {"amount": "5", "kind": "bonus", "priority": 20, "effective_at": NOON},
        "201": {"balance": "15", "held": "0", "available": "15"},
    },
    "credits_deduct": {
        "request": {"amount": "2.5", "reason": "Report of March"},
        "201": {"balance": "7.5", "held": "0", "available": "7.5", "lot_id": None},
    },
    "credits_refund": {
        "request": {"amount": "1", "reason": "Report was late"},
        "201": {"balance": "8.5", "held": "0", "available": "8.5", "lot_id": None},
    },
    "credits_holds_create": {"request": {"amount": "4", "expires_in": 900}},
    "credits_holds_settle_create": {"request": {"amount": "1.5", "reason": "Report of March"}},
    "credits_holds_release_create": {
        "200": {
            "status": "released",
            "settled_amount": None,
            "entry_id": None,
            "charged": "0",
            "balance": "10",
            "held": "0",
            "available": "10",
        }
    },
    "metering_summary": {"200": {"previous": _NOTHING_BEFORE}},
    "metering_free_tier": {"200": {"tier": "free", "total": _NOTHING, "today": _NOTHING, "by_model": []}},
    "metering_track": {"201": _TRACKED, "200": {**_TRACKED, "status": "duplicate", "available": None}},
    "metering_track_batch": {
        "200": {
            "recorded": 2,
            "duplicates": 0,
            "refused": 0,
            "charge": "0.005929",
            "available": "9.994071",
            "results": [_FIRST, _SECOND],
        },
        "207": {
            "recorded": 1,
            "duplicates": 0,
            "refused": 1,
            "charge": "0.000429",
            "available": "0",
            "results": [_FIRST, _REFUSED],
        },
    },
    "metering_events_correct_create": {"200": {"correction": {"event_id": OTHER_ID, "replacement_id": ID}}},
    "metering_events_explain_retrieve": {
        "200": {
            "words": [
                "1,200 prompt tokens and 350 completion tokens of openai/gpt-4o-mini cost 0.00039 USD at the provider.",
                "Starter adds 10 %: 0.000039 USD. The charge is 0.000429 USD.",
            ],
            "usage": [
                {"label": "Prompt tokens", "sum": "1,200 × 0.00000015", "amount": "0.00018"},
                {"label": "Completion tokens", "sum": "350 × 0.0000006", "amount": "0.00021"},
            ],
            "additions": [{"label": "Markup of 10 %", "sum": "0.00039 × 10 %", "amount": "0.000039"}],
            "metered": [],
            "components": [{"type": "percentage", "percent": "10", "applies_to": "paid"}],
            "attempts": [],
            "agrees": True,
        }
    },
}

_CHUNK = (
    '{"id":"gen-1772452800-Ab3x","object":"chat.completion.chunk","created":1772452800,"model":"%s","choices":[%s]%s}'
)
_USAGE = ',"usage":{"prompt_tokens":1200,"completion_tokens":350,"total_tokens":1550,"cost":0.00039}'


def _event(choice: str, more: str = "") -> str:
    return f"data: {_CHUNK % (MODEL, choice, more)}\n\n"


def _stream(piece: str) -> str:
    """Server-sent events, one way or the other of putting a piece of text into a choice."""
    first = _event(f'{{"index":0,{piece},"finish_reason":null}}')
    last = _event(f'{{"index":0,{piece.replace("Hello", ".")},"finish_reason":"stop"}}', _USAGE)
    return f": OPENROUTER PROCESSING\n\n{first}{last}data: [DONE]\n\n"


_CSV: dict[str, str] = {
    "/api/v1/credits/transactions/export.csv": (
        "number,posted_at,kind,amount,balance_after,reason,actor,event_id,hold_id,id\r\n"
        f"2,{NOON},charge,-0.000429,9.999571,,,{ID},,{OTHER_ID}\r\n"
        f"1,{MONTH},grant,10,10,Purchase,ada@example.com,,,{ID}\r\n"
    ),
    "/api/v1/coupons/export.csv": (
        "code,offer,type,state,uses,max_uses,max_uses_per_organization,starts_at,ends_at,amount,credit_days,percent,"
        "applies_to,periods,tier,tiers,first_purchase_only,partner,note,batch_id,created_at\r\n"
        f"WELCOME10,10.00 USD of credit,bonus,active,0,,1,{MONTH},{NEXT_MONTH},10,,,,,,,no,,,,{NOON}\r\n"
    ),
    "/api/v1/credits/statements/{id}.csv": (
        "section,line,events,prompt_tokens,completion_tokens,quantity,cost,markup,amount\r\n"
        "balance,opening_balance,,,,,,,0\r\nbalance,granted.purchased,,,,,,,10\r\n"
        "balance,usage,,,,,,,-0.000429\r\nbalance,closing_balance,,,,,,,9.999571\r\n"
        f"usage by model,{MODEL},1,1200,350,0,0.00039,0.000039,-0.000429\r\n"
    ),
}
_CSV |= samples_reports.CSV
BY_MEDIA: dict[tuple[str, str], str] = {
    ("/api/v1/chat/completions", "text/event-stream"): _stream('"delta":{"role":"assistant","content":"Hello"}'),
    ("/api/v1/completions", "text/event-stream"): _stream('"text":"Hello"')
    .replace(".chunk", "")
    .replace("chat.", "text_"),
    **{(path, "text/csv"): text for path, text in _CSV.items()},
}
# The first bytes of a file that is not text.
BY_KIND = {"audio/mpeg": "ID3\u0004…", "application/pdf": "%PDF-1.4 …"}
