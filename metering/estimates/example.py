"""A request and its estimate, for the API document. The figures belong together."""

from typing import Any

_MODEL = "openai/gpt-4o-mini"
REQUEST = {
    "model": _MODEL,
    "messages": [{"role": "user", "content": "Name three rivers of Poland."}],
    "max_tokens": 200,
}


def _cost(
    provider_cost: str, markup: str, charge: str, prompt: tuple[str, str], answer: tuple[str, str]
) -> dict[str, Any]:
    prices = {"prompt": "0.00000015", "completion": "0.0000006"}
    lines = [
        {"price_class": name, "quantity": quantity, "unit_price": prices[name], "amount": amount}
        for name, (quantity, amount) in (("prompt", prompt), ("completion", answer))
    ]
    return {"provider_cost": provider_cost, "markup": markup, "metered": "0", "charge": charge, "lines": lines}


ESTIMATE = {
    "model": _MODEL,
    "name": "OpenAI: GPT-4o-mini",
    "price_id": "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10",
    "tier": "starter",
    "detail": "full",
    "is_free": False,
    "uses_own_key": False,
    "prompt_tokens": {
        "low": 12,
        "likely": 13,
        "p95": 14,
        "worst": 256,
        "basis": "vocabulary",
        "vocabulary": "o200k_base",
        "content": "prose",
        "calls": 1840,
    },
    "answer_tokens": {"likely": 150, "p95": 200, "worst": 200, "basis": "history", "calls": 312},
    "cost": {
        "likely": _cost("0.00009195", "0.000009195", "0.000101145", ("13", "0.00000195"), ("150", "0.00009")),
        "p95": _cost("0.0001221", "0.00001221", "0.00013431", ("14", "0.0000021"), ("200", "0.00012")),
        "worst": {"charge": "0.00017424"},
    },
    "wallet": {
        "available": "10",
        "after_likely": "9.999898855",
        "after_worst": "9.99982576",
        "covers_worst_case": True,
        "affordable_tokens": 200,
    },
    "budgets": [
        {
            "id": "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10",
            "name": "Search",
            "scope": "tag",
            "period": "monthly",
            "blocks": True,
            "amount": "50",
            "remaining": "10",
            "after_likely": "9.999898855",
            "after_worst": "9.99982576",
            "covers_worst_case": True,
            "resets_at": "2026-04-01T00:00:00Z",
        }
    ],
    "alternatives": [
        {
            "model": "openai/gpt-5-nano",
            "name": "OpenAI: GPT-5 Nano",
            "charge": "0.000066715",
            "saving": "0.00003443",
            "is_free": False,
        }
    ],
}


def _share(measured: int, inside: int, stated: float, low: float, high: float) -> dict[str, Any]:
    share = inside / measured
    return {"measured": measured, "inside": inside, "stated": stated, "share": share, "low": low, "high": high}


_ROW = {
    "prompt": _share(400, 364, 0.9, 0.8779, 0.9343),
    "answer": _share(400, 382, 0.95, 0.93, 0.9714),
    "charge": _share(400, 392, 0.95, 0.961, 0.9898),
    "mean_error": 0.021,
    "beyond_hold": 0,
}
ACCURACY = {
    "from": "2026-10-23",
    "to": "2026-11-21",
    "total": _ROW,
    "data": [
        {
            "model": "anthropic/claude-sonnet-4.5",
            "name": "Anthropic: Claude Sonnet 4.5",
            "basis": "learned",
            "learned_from": 5210,
            **_ROW,
        }
    ],
}
