"""What a call may add to the meters that take credit: figures worked by hand, and which meters it may add to."""

from decimal import Decimal

import pytest

from metering.bounds import Bound, CallFacts
from metering.errors import UnpriceableCall
from metering.metered.calls import CallEvent, CallMeters, prices_touched
from metering.price_models import most_added
from tests.builders import NOON
from tests.metering.metered import GRADUATED, VOLUME
from tests.metering.reporting import Reporter, make_model, make_reporter
from tests.metering.test_estimates import BODY

EVENT = CallEvent(kinds=("chat",), models=("a/b", "b"), tier="pro", tags={"team": "x"})
FACTS = CallFacts(prompt_tokens=1_000, completion_tokens=50, answers=2, characters=7)
BOUND = Bound(Decimal("0.2"), Decimal("0.1"), (), {})


def price(aggregation, *clauses, conjunction="and", mode="credits", **terms):
    return {
        "meter": "m",
        "name": "Meter",
        "mode": mode,
        "filter": {"conjunction": conjunction, "clauses": [dict(zip(PARTS, one, strict=True)) for one in clauses]},
        "aggregation": {"func": "sum", "property": aggregation} if aggregation else {"func": "count"},
        "price": terms or {"model": "per_unit", "unit_amount": "0.5"},
    }


PARTS = ("property", "operator", "value")


@pytest.mark.parametrize(
    ("quantity", "units", "terms", "most"),
    [
        (0, 3, {"model": "per_unit", "unit_amount": "0.5"}, "1.5"),
        (8, 4, GRADUATED, "2"),  # 2 of them are included
        (0, 10, GRADUATED, "0"),
        (19, 4, GRADUATED, "2.5"),
        (999, 1, {"model": "package", "package_size": "1000", "package_amount": "2"}, "0"),
        (1000, 1, {"model": "package", "package_size": "1000", "package_amount": "2"}, "2"),
        (90, 20, VOLUME, "10"),  # 100 at 1 USD cost more than 110 at half of it
        (100, 1, VOLUME, "0"),
        (900, 200, {"model": "per_unit", "unit_amount": "1", "cap": "1000"}, "100"),
    ],
)
def test_the_most_that_is_added_from_where_a_counter_stands(quantity, units, terms, most):
    assert most_added(Decimal(quantity), Decimal(units), terms) == Decimal(most)


@pytest.mark.parametrize(
    ("clauses", "touches"),
    [
        ([], True),
        ([("name", "eq", "unit")], False),
        ([("event.kind", "eq", "chat"), ("event.model", "eq", "a/b")], True),
        ([("event.kind", "eq", "tts")], False),
        ([("event.model", "eq", "c/d")], False),
        ([("event.tags.team", "eq", "x")], True),
        ([("event.tags.team", "ne", "x")], False),
        ([("event.tags.other", "eq", "x")], False),
        ([("n", "gt", 3)], False),  # no call has such metadata
        ([("attempts", "gt", 3)], True),  # this it may have
        ([("event.prompt_tokens", "lt", 3)], True),
        ([("event.member_id", "like", "0")], False),
    ],
)
def test_which_meters_a_call_may_add_to(clauses, touches):
    assert bool(prices_touched([price("", *clauses)], EVENT)) is touches
    either = price("", ("name", "eq", "unit"), *clauses, conjunction="or")
    assert bool(prices_touched([either], EVENT)) is (touches and bool(clauses))
    assert prices_touched([price("", *clauses, mode="priced")], EVENT) == []


@pytest.mark.parametrize(
    ("aggregation", "units"),
    [
        ("", 1),
        ("event.prompt_tokens", 1_000),
        ("event.reasoning_tokens", 100),
        ("event.total_tokens", 1_100),
        ("event.quantity", 7),
        ("event.provider_cost", "0.1"),
        ("event.charge", "0.2"),
        ("event.model", 0),
        ("event.tags.team", 0),
        ("n", 0),
    ],
)
def test_how_much_a_call_may_add(aggregation, units):
    meters = CallMeters(((price(aggregation), Decimal(5)), (price(""), Decimal(0))))
    assert meters.most(FACTS, BOUND) == Decimal(units) / 2 + Decimal("0.5")


@pytest.mark.parametrize("aggregation", ["event.latency_ms", "timestamp", "attempts"])
def test_what_nobody_can_say_before_has_no_bound(aggregation):
    with pytest.raises(UnpriceableCall):
        CallMeters(((price(aggregation), Decimal(0)),)).most(FACTS, BOUND)


def test_an_estimate_has_what_meters_take(db):
    make_model(BODY["model"], prompt="0.000001", completion="0.000002")
    terms = {"model": "per_unit", "unit_amount": "0.5", "included": "1"}
    metered = {**price("", ("event.kind", "eq", "chat"), **terms), "meter": "01a1ff90-66a1-754e-9ad5-a1631ef8173c"}
    organization = make_reporter("10", metered_prices=[metered])
    reporter = Reporter(organization)

    def costs():
        answer = reporter.ask("POST", "metering/estimate?expected_tokens=50", BODY)[1]
        likely = answer["cost"]["likely"]
        return likely["metered"], likely["charge"], Decimal(answer["cost"]["worst"]["charge"])

    first = costs()
    assert first[:2] == ("0", "0.0001287")
    assert reporter.track({"kind": "chat", "cost": "0", "occurred_at": NOON.isoformat()})[0] == 201
    assert costs() == ("0.5", "0.5001287", first[2] + Decimal("0.5"))
