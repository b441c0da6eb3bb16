"""Recorded usage replayed under other terms: equal, to the last digit, to a recomputation by hand of every event."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Organization
from advice.models import RunStatus, WhatIfRun
from advice.services import forget_what_ifs, start_what_if, work_off_what_ifs
from advice.services import what_if as service
from advice.what_if.caps import CapWatch, window_of
from advice.what_if.change import WINDOWS, Change
from advice.what_if.reading import Asked, batches
from core.errors import InvalidRequest
from credits.models import LedgerEntry
from credits.services import grant_credits
from metering.errors import NoSuchModel
from metering.models import UsageEvent
from metering.price_book import card_for, forget_price_book
from metering.services import record_usage
from tests.advice.recorded import TEN, make_use, record_random
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_user, sign_in, usd
from tests.metering.reporting import make_model
from tiers.catalogue import MANAGED_CREDITS, load_catalogue

START = datetime(2026, 2, 1, tzinfo=UTC)
END = START + timedelta(days=28)
ALL = Asked(START, END, {})
DEAR, CHEAP, FREE = "maker/dear", "other/cheap", "other/cheap:free"
PLACES = Decimal(1).scaleb(-12)


def rounded(amount):
    return amount.quantize(PLACES, rounding=ROUND_HALF_EVEN)


class World:
    def __init__(self):
        load_catalogue(name=MANAGED_CREDITS, at=START)
        self.dear = make_model(DEAR, prompt="0.000005", completion="0.000015", input_cache_read="0.0000005")
        make_model(CHEAP, prompt="0.00000015", completion="0.0000006")
        make_model(FREE, prompt="0", completion="0", is_free=True)
        # the dear model became cheaper in the middle of the range
        make_model(DEAR, start=START + timedelta(days=10), prompt="0.000003", completion="0.000009")
        self.customer = make_customer(owner=make_user())
        Organization.objects.filter(pk=self.customer.pk).update(time_zone="America/New_York")
        posting = {"amount": usd("500"), "kind": "bonus", "reason": "t", "actor": "t", "at": START}
        grant_credits(organization_id=self.customer.pk, **posting)
        self.events = list(record_random(self.customer, (DEAR, CHEAP, FREE), start=START, count=240, seed=7))


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("openrouter.tasks.soon", lambda *_: None)
        forget_price_book()
        yield World()
        transaction.set_rollback(True)


@pytest.fixture
def world(made, db):
    forget_price_book()
    return made


def ask(world, **change):
    run = start_what_if(
        organization_id=world.customer.pk, asked=ALL, change=Change(**change), requested_by="t", at=timezone.now()
    )
    assert run.status == RunStatus.DONE, run.error
    return run.result


# ---------------------------------------------------------------- brute force


def rated_by_hand(event, model, at):
    """The price list written out: no code of the meter's but the look-up of the row."""
    price = card_for(model, at)
    prices = price.card.prices
    read = prices.get("input_cache_read", prices["prompt"])
    return price, (
        (event.prompt_tokens - event.cached_tokens) * prices["prompt"]
        + event.cached_tokens * read
        + event.completion_tokens * prices["completion"]
    )


def by_hand(event, *, percent=None, model=None, prices_at=None, is_byok=None):
    """(provider cost, charge, own key's cost) of one event under a change."""
    if not event.derivation:
        return event.provider_cost, event.charge, event.byok_cost
    cost, is_free = Decimal(event.derivation["cost"]), event.is_free
    if model or (prices_at and event.cost_source != "caller"):
        price, cost = rated_by_hand(event, model or event.model, prices_at or event.occurred_at)
        is_free = price.is_free
    own = event.is_byok if is_byok is None else is_byok
    if own:
        return Decimal(0), Decimal(0), rounded(cost)
    if percent is not None:
        charge = cost * (100 + Decimal(0 if is_free else percent)) / 100
    else:
        charge = cost * (1 if is_free else Decimal("1.1"))
        if is_free:
            charge += (event.prompt_tokens + event.completion_tokens) * Decimal("0.000001")
    return rounded(cost), rounded(charge), Decimal(0)


LATER = START + timedelta(days=15)


@pytest.mark.parametrize(
    ("change", "terms"),
    [
        ({"markup_percent": Decimal("2.5")}, {"percent": "2.5"}),
        ({"tier": "starter"}, {"percent": "10"}),
        ({"tier": "enterprise"}, {"percent": "0"}),
        ({"tier": "professional", "option": "byok"}, {"percent": "0", "is_byok": True}),
        ({"model": CHEAP}, {"model": CHEAP}),
        ({"model": FREE}, {"model": FREE}),
        ({"prices_at": LATER}, {"prices_at": LATER}),
        ({"model": DEAR, "prices_at": LATER, "is_byok": False}, {"model": DEAR, "prices_at": LATER, "is_byok": False}),
        ({"is_byok": True}, {"is_byok": True}),
        ({"is_byok": False}, {"is_byok": False}),
    ],
    ids=lambda value: None if "percent" in value and "tier" not in value else "-".join(map(str, value)),
)
def test_every_change_agrees_with_a_recomputation_of_each_event(world, change, terms):
    result = ask(world, **change)
    parts = [by_hand(event, **terms) for event in world.events]
    replayed = result["replayed"]
    assert Decimal(replayed["provider_cost"]) == sum(part[0] for part in parts)
    assert Decimal(replayed["charge"]) == sum(part[1] for part in parts)
    assert Decimal(replayed["byok_cost"]) == sum(part[2] for part in parts)
    assert Decimal(replayed["markup"]) == Decimal(replayed["charge"]) - Decimal(replayed["provider_cost"])
    assert Decimal(result["recorded"]["charge"]) == sum(event.charge for event in world.events)
    for rows in (result["by_model"], result["by_day"]):
        for figure in ("charge", "byok_cost", "spend"):
            assert sum(Decimal(row["replayed"][figure]) for row in rows) == Decimal(replayed[figure])
            assert sum(Decimal(row["recorded"][figure]) for row in rows) == Decimal(result["recorded"][figure])


def test_a_tier_of_free_models_refuses_the_others(world):
    result = ask(world, tier="free")
    paid = [event for event in world.events if event.derivation and event.model != FREE]
    assert result["refused"]["events"] == len(paid)
    assert result["replayed"]["events"] == len(world.events) - len(paid)


def test_what_has_no_price_stands_as_it_was(world):
    early = START - timedelta(days=3_000)
    result = ask(world, prices_at=early)
    rated = [event for event in world.events if event.derivation and event.cost_source != "caller"]
    assert result["unpriced"]["events"] == len(rated)
    assert result["replayed"] == result["recorded"]


def test_a_model_that_talks_takes_over_nothing_else_unless_it_is_named(world):
    use = make_use(world.customer, DEAR, at=START, completion=0, components=[TEN], kind="embedding")
    [outcome] = record_usage([use], at=END)
    event = UsageEvent.objects.get(pk=outcome.event_id)
    costs = {}
    for name, only in (("all", {}), ("named", {"kind": "embedding"})):
        run = start_what_if(
            organization_id=world.customer.pk,
            asked=Asked(START, START + timedelta(seconds=1), only),
            change=Change(model=CHEAP),
            requested_by="t",
            at=timezone.now(),
        )
        costs[name] = Decimal(run.result["replayed"]["charge"]) - sum(
            by_hand(each, model=CHEAP)[1] for each in world.events if each.occurred_at == START and not only
        )
    assert costs == {"all": event.charge, "named": by_hand(event, model=CHEAP)[1]}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("cap", ["0", "0.05", "0.4", "1000"])
def test_a_cap_stops_exactly_the_events_that_would_go_over_it(world, window, cap):
    result = ask(world, cap=usd(cap), window=window)
    zone, used, stopped, kept = ZoneInfo("America/New_York"), {}, [], Decimal(0)
    for event in sorted(world.events, key=lambda each: (each.occurred_at, each.id)):
        spend, local = event.charge + event.byok_cost, event.occurred_at.astimezone(zone)
        key = {
            "daily": local.date(),
            "weekly": local.isocalendar()[:2],
            "monthly": (local.year, local.month),
            "total": 0,
        }[window]
        if spend > 0 and used.get(key, 0) + spend > usd(cap):
            stopped.append((key, spend))
            continue
        used[key] = used.get(key, 0) + spend
        kept += spend
    assert (result["stopped"]["events"], result["stopped"]["windows"]) == (len(stopped), len({k for k, _ in stopped}))
    assert Decimal(result["stopped"]["amount"]) == sum((spend for _, spend in stopped), Decimal(0))
    assert Decimal(result["replayed"]["spend"]) == kept


@given(st.lists(st.tuples(st.integers(0, 40 * 86_400), st.integers(0, 50)), max_size=60), st.integers(0, 200))
@settings(max_examples=25, deadline=None)
def test_a_window_never_holds_more_than_the_cap(uses, cap):
    zone = ZoneInfo("Europe/Berlin")  # the clocks change in these weeks
    start = datetime(2026, 3, 10, tzinfo=UTC)
    for window in WINDOWS:
        watch, sums = CapWatch(Decimal(cap), window, zone), {}
        for offset, spend in sorted(uses):
            at = start + timedelta(seconds=offset)
            if not watch.stops(at, Decimal(spend)):
                key = window_of(at, window, zone)
                assert key[0] <= at < key[1]
                sums[key] = sums.get(key, 0) + spend
        assert all(total <= cap for total in sums.values())


def test_nothing_is_changed_and_voided_events_do_not_count(world):
    before = (UsageEvent.objects.count(), LedgerEntry.objects.count())
    gone = world.events[0]
    UsageEvent.objects.filter(pk=gone.pk).update(voided_at=NOON)
    result = ask(world, markup_percent=Decimal(0))
    assert result["recorded"]["events"] == len(world.events) - 1
    UsageEvent.objects.filter(pk=gone.pk).update(voided_at=None)
    assert (UsageEvent.objects.count(), LedgerEntry.objects.count()) == before


def test_what_cannot_be_replayed_is_refused(world):
    for change, error in (
        ({}, InvalidRequest),
        ({"tier": "nowhere"}, InvalidRequest),
        ({"tier": "starter", "option": "byok"}, InvalidRequest),
        ({"model": "nobody/nothing"}, NoSuchModel),
    ):
        with pytest.raises(error):
            ask(world, **change)
    assert not WhatIfRun.objects.filter(change={}).exists()


def test_long_ones_are_worked_off_in_batches_and_a_dead_workers_are_taken_over(world, monkeypatch):
    monkeypatch.setattr(service, "AT_ONCE", 10)
    monkeypatch.setattr(service, "batches", partial(batches, size=7))
    now = timezone.now()
    run = start_what_if(
        organization_id=None, asked=ALL, change=Change(markup_percent=Decimal(0)), requested_by="op", at=now
    )
    assert (run.status, run.result, run.progress) == (RunStatus.WAITING, None, 0)
    WhatIfRun.objects.filter(pk=run.pk).update(
        status=RunStatus.RUNNING, attempts=1, events_done=5, claimed_until=now - timedelta(minutes=1)
    )
    assert work_off_what_ifs() == len(world.events)
    run.refresh_from_db()
    assert (run.status, run.progress, run.attempts) == (RunStatus.DONE, 100, 2)
    assert Decimal(run.result["replayed"]["charge"]) == sum(by_hand(event, percent="0")[1] for event in world.events)
    [own] = run.by_organization
    assert (own["organization_id"], own["replayed"]) == (str(world.customer.pk), run.result["replayed"])
    assert work_off_what_ifs() == 0
    assert forget_what_ifs(at=now + timedelta(days=91)) >= 1


# ---------------------------------------------------------------- API and pages


def test_the_api_answers_and_keeps_what_was_asked(world):
    caller = Caller(world.customer)
    body = {
        "from": "2026-02-01",
        "to": "2026-02-28",
        "model": DEAR,
        "change": {"model": CHEAP, "budget": {"amount": "0.5", "window": "daily"}},
    }
    status, made = caller.ask("POST", "metering/what-if", body)
    assert (status, made["status"], made["progress"], made["only"]) == (201, "done", 100, {"model": DEAR})
    assert made["change"] == {"model": CHEAP, "budget": {"amount": "0.5", "window": "daily"}}
    dear = [event for event in world.events if event.model == DEAR]
    assert made["result"]["recorded"]["events"] == len(dear)
    assert caller.ask("GET", f"metering/what-if/{made['id']}") == (200, made)
    status, listed = caller.ask("GET", "metering/what-if")
    assert status == 200 and listed["data"][0]["id"] == made["id"] and "result" not in listed["data"][0]
    for change, code in (
        ({}, "invalid_request"),
        ({"tier": "nowhere"}, "invalid_request"),
        ({"model": "nobody/nothing"}, "model_not_found"),
        ({"colour": "red"}, "invalid_request"),
        ({"markup_percent": "-1"}, "invalid_request"),
        ({"pricing": {"prompt": "x", "completion": "0"}}, "invalid_price"),
    ):
        assert caller.ask("POST", "metering/what-if", {"change": change})[1]["code"] == code, change
    for pricing in ({"prompt": 0.000001, "completion": "0"}, {"prompt": "0.000001", "completion": "0"}):
        status, answer = caller.ask("POST", "metering/what-if", {**body, "change": {"pricing": pricing}})
        assert (status, answer["status"]) == (201, "done")
        assert answer["change"]["pricing"] == {"prompt": "0.000001", "completion": "0"}
    stranger = Caller(make_customer())
    assert stranger.ask("GET", f"metering/what-if/{made['id']}")[1]["code"] == "unknown_what_if"


def test_the_page_asks_answers_and_tells_what_is_wrong(world):
    browser = sign_in(world.customer.memberships.get().user)
    page = browser.get("/what-if/").content.decode()
    assert "What would be different?" in page and f'value="{DEAR}"' in page
    assert "Professional, with your own key" in page
    form = {"start": "2026-02-01", "end": "2026-02-28", "model": CHEAP, "cap": "0.4", "window": "daily"}
    answer = browser.post("/what-if/", form, follow=True)
    page = answer.content.decode()
    assert answer.status_code == 200 and "Answers by other/cheap; a budget of $0.40 a day" in page
    assert "Cheaper by" in page and "The budget would have stopped" in page and f"→ {CHEAP}" in page
    assert browser.post("/what-if/", {**form, "model": "", "cap": ""}).status_code == 400
