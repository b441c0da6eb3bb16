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
    return {"provider_cost": provider_cost, "markup": markup, "charge": charge, "lines": lines}


ESTIMATE = {
    "model": _MODEL,
    "name": "OpenAI: GPT-4o-mini",
    "price_id": "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10",
    "tier": "starter",
    "is_free": False,
    "uses_own_key": False,
    "prompt_tokens": {
        "likely": 13,
        "p95": 30,
        "worst": 256,
        "basis": "vocabulary",
        "vocabulary": "o200k_base",
        "content": "prose",
    },
    "answer_tokens": {"likely": 150, "p95": 200, "worst": 200, "basis": "history"},
    "cost": {
        "likely": _cost("0.00009195", "0.000009195", "0.000101145", ("13", "0.00000195"), ("150", "0.00009")),
        "p95": _cost("0.0001245", "0.00001245", "0.00013695", ("30", "0.0000045"), ("200", "0.00012")),
        "worst": {"charge": "0.00017424"},
    },
    "wallet": {
        "available": "10",
        "after_likely": "9.999898855",
        "after_worst": "9.99982576",
        "covers_worst_case": True,
        "affordable_tokens": 200,
    },
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
