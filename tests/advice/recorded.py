"""Random usage, recorded as the gateway and reporters do it."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from core.money import quantize
from metering.derivation import derive
from metering.models import UsageEvent
from metering.price_book import card_for
from metering.rating import TokenUsage, apply_markup, rate
from metering.services import record_usage
from tests.builders import make_record

TEN = {"type": "percentage", "percent": "10", "applies_to": "paid"}
FEE = {"type": "per_1k_tokens", "amount": "0.001", "applies_to": "free"}


def make_use(organization, model, *, at, prompt=1_000, completion=200, **fields):
    """A priced call of ``model``, as a reporter's: the cost is the price list's unless ``cost`` says the provider's."""
    usage = TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=fields.pop("cached_tokens", 0),
        reasoning_tokens=fields.pop("reasoning_tokens", 0),
    )
    price = card_for(model, at)
    rated = rate(usage, price.card, at)
    stated, is_byok = fields.pop("cost", None), fields.pop("is_byok", False)
    source = fields.pop("source_of_cost", "computed" if stated is None else "provider")
    cost = rated.cost if stated is None else Decimal(stated)
    components = fields.pop("components", [TEN, FEE])
    charge = apply_markup(cost, usage.tokens, 1, components, is_free=price.is_free, is_byok=is_byok)
    return make_record(
        organization,
        str(charge.charge),
        **{
            "kind": "chat",
            "name": "",
            "model": model,
            "occurred_at": at,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "provider_cost": charge.cost,
            "markup": charge.markup,
            "byok_cost": quantize(cost) if is_byok else Decimal(0),
            "is_byok": is_byok,
            "is_free": price.is_free,
            "cost_source": source,
            "price_id": price.id,
            "derivation": derive(charge, source=source, rated=None if source == "caller" else rated, price_id=price.id),
            **fields,
        },
    )


def record_random(organization, models, *, start, count, seed, days=20):
    """``count`` uses over ``days``, of every kind of cost there is."""
    random = Random(seed)
    records = []
    for _ in range(count):
        at = start + timedelta(seconds=random.randrange(days * 86_400))
        fields = {}
        kind = random.choice(("computed", "computed", "provider", "caller", "byok", "failed"))
        if kind == "provider":
            fields["cost"] = f"0.{random.randrange(1, 10**9):012d}"
        elif kind == "caller":
            fields |= {"cost": f"0.0{random.randrange(1, 999):03d}", "source_of_cost": "caller"}
        elif kind == "byok":
            fields["is_byok"] = True
        if kind == "failed":
            records.append(
                make_record(organization, kind="chat", name="", model=models[0], occurred_at=at, status="error")
            )
            continue
        prompt, completion = random.randrange(1, 20_000), random.randrange(1, 3_000)
        records.append(
            make_use(
                organization,
                random.choice(models),
                at=at,
                prompt=prompt,
                completion=completion,
                cached_tokens=random.choice((0, 0, prompt // 2)),
                reasoning_tokens=random.choice((0, completion // 3)),
                **fields,
            )
        )
    outcomes = record_usage(records, at=start + timedelta(days=days))
    assert {each.status for each in outcomes} == {"recorded"}
    return UsageEvent.objects.filter(organization_id=organization.pk, voided_at__isnull=True)
