"""Calls that a tier's meters take credit for: holds cover them, and nothing is begun that could not be paid."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count

import pytest
from django.utils import timezone

from metering.metered.calls import NOTED
from metering.metered.models import MeteredCounter
from metering.models import UsageEvent
from metering.services import create_meter
from openrouter.gateway.access import access
from openrouter.models import ByokCredential
from sandbox.books import hash_of
from tests.openrouter.gateway.conftest import TIERS
from tiers.services import create_tier

pytestmark = pytest.mark.django_db
_numbers = count(1)
CALLS = {"conjunction": "and", "clauses": [{"property": "event.source", "operator": "eq", "value": "gateway"}]}
ONE_EACH = {"model": "per_unit", "unit_amount": "1"}


def make_tier(like, price, aggregation):
    """A tier whose meter takes credit for calls."""
    slug, now = f"metered-calls-{next(_numbers)}", timezone.now()
    create_meter(organization_id=None, name=slug, filter=CALLS, aggregation=aggregation, at=now)
    prices = [{"meter": slug, "mode": "credits", "price": price}]
    create_tier(at=now, slug=slug, name=slug, requests_per_minute=1_000_000, metered_prices=prices, **TIERS[like])
    return slug


def owed(buyer):
    return sum(MeteredCounter.objects.filter(organization=buyer.organization).values_list("owed", flat=True))


def test_parallel_calls_take_no_more_than_the_wallet_has(customer):
    buyer = customer(tier=make_tier("exact", ONE_EACH, {"func": "count"}), credit="2.5")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: buyer.chat("sandbox/chat", "[[tokens=5]]", max_tokens=9), range(6)))
    assert sorted(answer.status for answer in answers) == [200, 200, 402, 402, 402, 402]
    assert len(buyer.generations) == 2
    assert (owed(buyer), buyer.account.held) == (0, 0)
    assert buyer.account.balance == Decimal("0.5") - buyer.billed
    [first, _] = (answer for answer in answers if answer.status == 200)
    assert 1 < first.charge <= Decimal(first.headers["x-farebox-hold"])
    assert set().union(*(event.metadata for event in UsageEvent.objects.filter(source="gateway"))) <= NOTED


def test_included_calls_need_no_credit_of_their_own(customer):
    price = {**ONE_EACH, "included": "1"}
    buyer = customer(tier=make_tier("exact", price, {"func": "count"}), credit="0.5")
    statuses = [buyer.chat("sandbox/chat", "[[tokens=5]]", max_tokens=9).status for _ in range(2)]
    assert (statuses, owed(buyer)) == ([200, 402], 0)


def test_an_answer_is_shortened_to_what_tokens_and_meters_leave(customer):
    tokens = {"func": "sum", "property": "event.completion_tokens"}
    buyer = customer(tier=make_tier("exact", {"model": "per_unit", "unit_amount": "0.01"}, tokens), credit="2")
    answer = buyer.chat("sandbox/chat", "[[tokens=50]]")
    assert answer.status == 200
    assert Decimal("1.9") < Decimal(answer.headers["x-farebox-hold"]) <= 2
    assert (owed(buyer), buyer.account.balance) == (0, Decimal("1.5") - buyer.billed)


def test_with_an_own_key_meters_alone_are_set_aside(customer, sandbox):
    buyer = customer(tier=make_tier("own-key", ONE_EACH, {"func": "count"}), credit="1.5")
    secret = sandbox.settings.customer_key
    ByokCredential.objects.create(
        organization=buyer.organization,
        secret=secret,
        hash=hash_of(secret),
        last_four=secret[-4:],
        verified_at=timezone.now(),
    )
    access.clear()
    first, second = (buyer.chat("openai/gpt-4o-mini", "[[tokens=5]]", max_tokens=9) for _ in range(2))
    assert (first.status, first.headers["x-farebox-hold"], first.charge) == (200, "1", 1)
    assert (second.status, owed(buyer), buyer.account.balance) == (402, 0, Decimal("0.5"))
