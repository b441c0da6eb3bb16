"""Ten thousand random charges under prices that have changed since, each computed again to the last digit."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from credits.services import grant_credits
from metering.derivation import derive
from metering.models import ModelPrice, UsageEvent
from metering.prices import PRICE_KEYS, PriceCard
from metering.rating import TokenUsage, apply_markup, rate
from metering.receipt import receipt_of
from metering.recomputing import problem_of, recompute_charges
from metering.records import UsageRecord
from metering.services import record_usage
from tests.builders import make_user, sign_in, usd
from tests.metering.reporting import make_model, make_reporter

EVENTS, MODELS, CHANGES = 10_000, 12, 6
COMPONENTS = (
    [],
    [{"type": "percentage", "percent": "10", "applies_to": "paid"}],
    [{"type": "percentage", "percent": "7.25"}, {"type": "per_request", "amount": "0.0001"}],
    [{"type": "per_1k_tokens", "amount": "0.001"}, {"type": "percentage", "percent": "3.3333"}],
)


def some_prices(random):
    def price(most):
        return format(Decimal(random.randint(0, most)).scaleb(-12), "f")

    prices = {"prompt": price(9_999_999), "completion": price(99_999_999)}
    for name in random.sample([key for key in PRICE_KEYS if key not in prices], random.randint(0, 6)):
        prices[name] = price(5_000_000)
    if random.random() < 0.4:
        prices["discount"] = f"0.{random.randint(1, 40):02d}"
    if random.random() < 0.4:
        over = {"min_prompt_tokens": random.randint(10, 9_000), "prompt": price(9_999_999)}
        prices["overrides"] = [over, {"utc_start": 0, "utc_end": 100 * random.randint(1, 23), "completion": price(999)}]
    return prices


def some_usage(random):
    prompt, completion = random.randint(1, 20_000), random.randint(0, 4_000)
    cached, written, audio, image = (random.randint(0, prompt // 4) * (random.random() < 0.3) for _ in range(4))
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cached_audio_tokens=cached // 3,
        cache_write_tokens=written,
        cache_write_1h_tokens=written // 2,
        audio_tokens=audio,
        image_tokens=image,
        reasoning_tokens=completion // random.choice((2, 5, 5_000)),
        audio_output_tokens=completion // random.choice((3, 5_000)),
        images=random.choice((0, 0, 2)),
        output_images=random.choice((0, 0, 1)),
        searches=random.choice((0, 0, 3)),
    )


def some_record(random, organizations, history, now):
    at = now - timedelta(seconds=random.randint(3_600, 250 * 86_400))
    row, card = next(each for each in reversed(random.choice(history)) if each[0].effective_from <= at)
    usage, tier = some_usage(random), random.choice((None, None, "flex", "priority"))
    rated = rate(usage, card, at, tier)
    source = random.choice(("computed", "provider"))
    cost = rated.cost if source == "computed" else Decimal(random.randint(0, 10**9)).scaleb(-14)
    charge = apply_markup(cost, usage.tokens, 1, random.choice(COMPONENTS), is_free=False, is_byok=False)
    return UsageRecord(
        organization_id=random.choice(organizations).id,
        occurred_at=at,
        kind="chat",
        source="api",
        cost_source=source,
        model=row.model_id,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        provider_cost=charge.cost,
        markup=charge.markup,
        charge=charge.charge,
        price_id=row.id,
        derivation=derive(charge, source=source, rated=rated, price_id=row.id),
    )


def price_history(random, name, now):
    rows = []
    for change in range(CHANGES):
        start = now - timedelta(days=300 - 45 * change)
        row = make_model(name, start=start, **some_prices(random))
        rows.append((row, PriceCard.from_json(row.pricing)))
    return rows


@pytest.fixture
def books(db):
    random, now = Random(42), timezone.now()
    organizations = [make_reporter("1") for _ in range(3)]
    for each in organizations:
        grant_credits(
            organization_id=each.id, amount=usd("1000000"), kind="bonus", reason="Coupon PLENTY", actor="test", at=now
        )
    history = [price_history(random, f"vendor/model-{number}", now) for number in range(MODELS)]
    for _ in range(EVENTS // 2_500):
        outcomes = record_usage([some_record(random, organizations, history, now) for _ in range(2_500)], at=now)
        assert {outcome.status for outcome in outcomes} == {"recorded"}
    for number in range(MODELS):  # everything has another price today
        make_model(f"vendor/model-{number}", start=now, prompt="0.5", completion="0.5")
    return now


def test_ten_thousand_charges_are_computed_again_exactly_after_their_prices_have_changed(books, capsys):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = list(recompute_charges(UsageEvent.objects.order_by("occurred_at", "id")))
    assert len(found) == EVENTS and {each.problem for each in found} == {""}
    assert len(queries) <= 1 + 2 * EVENTS // 2_000
    days = [(books - timedelta(days=300)).date().isoformat(), books.date().isoformat()]
    last = found[-1].event
    call_command("recompute_charges", *days, organization=last.organization_id)
    assert "charges were computed again and agree" in capsys.readouterr().out

    # every digit of what was stored counts: the wrong price beside its own sums, a changed charge, a lost entry
    event = next(each.event for each in found if each.event.cost_source == "computed" and each.event.charge)
    lines = event.derivation["computed"]["lines"]
    lines[0][2] = format(Decimal(lines[0][2]) + Decimal("0.000000000001"), "f")
    added = Decimal(lines[0][1]) * Decimal("0.000000000001")
    event.derivation["cost"] = event.derivation["computed"]["cost"] = format(
        Decimal(event.derivation["cost"]) + added, "f"
    )
    again = apply_markup(
        Decimal(event.derivation["cost"]), event.derivation["tokens"], 1, event.derivation["components"], False, False
    )
    event.charge = again.charge
    card = PriceCard.from_json(ModelPrice.objects.get(pk=event.price_id).pricing)
    assert problem_of(event, None) == "" and "The price list that it names says" in problem_of(event, card)
    UsageEvent.objects.filter(id=last.id).update(charge=last.charge + usd("0.000000000001"))
    page = sign_in(make_user(is_staff=True, is_superuser=True))
    answer = page.post(
        "/admin/metering/usageevent/?time=all", {"action": "compute_again", "_selected_action": [last.id]}, follow=True
    )
    assert "Computed again it is" in answer.content.decode()
    with pytest.raises(CommandError, match="1 of"):
        call_command("recompute_charges", *days, organization=last.organization_id)
    receipt = receipt_of(UsageEvent.objects.get(id=last.id))
    assert not receipt.agrees and {part.reason for part in receipt.paid_by} <= {"Coupon PLENTY", "test"}
