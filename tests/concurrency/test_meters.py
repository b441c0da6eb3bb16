"""Meters while events arrive: readers see whole prefixes, counters of prices lose nothing; beside a control."""

import threading
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from credits.audit import audit_books
from credits.models import CreditAccount
from metering.customer_events import CustomerEvent
from metering.metered.models import MeteredCharge, MeteredCounter
from metering.metered.terms import checked_metered_prices
from metering.meters.customers import CustomerRef
from metering.meters.quantities import quantities
from metering.meters.readings import readings
from metering.price_models import price_of
from metering.services import create_meter, ingest_events, void_event
from tests.builders import NOON, make_organization
from tests.concurrency.parallel import rewritten_functions, run_parallel
from tests.metering.reporting import make_reporter

pytestmark = pytest.mark.django_db(transaction=True)
EVERYTHING = {"conjunction": "and", "clauses": []}
WRITERS, BATCHES, BASE = 8, 6, 100
_numbers = count(1)


def write(organization, writer):
    """Two events at a time; each adds one to the writer's own digit of the sum."""
    for _ in range(BATCHES):
        event = CustomerEvent(name="e", external_customer_id="u", metadata={"n": BASE**writer, "w": writer})
        ingest_events(organization_id=organization.pk, events=[event, event], at=NOON)


def digits(total):
    return [int(total) // BASE**writer % BASE for writer in range(WRITERS)]


def test_a_reader_beside_eight_writers_sees_whole_prefixes_only():
    organization = make_organization()
    made = {"organization_id": organization.pk, "filter": EVERYTHING, "at": NOON}
    total = create_meter(name="total", aggregation={"func": "sum", "property": "n"}, **made)
    events = create_meter(name="events", aggregation={"func": "count"}, **made)
    done, seen = threading.Event(), []

    def read():
        while True:
            last = done.is_set()
            both = readings(meters=[total, events], customer=CustomerRef(external_id="u"))
            span = {"start": NOON.replace(day=1), "end": NOON.replace(day=28), "interval": "day"}
            said = quantities(meter=total, **span, zone=ZoneInfo("UTC"), group_by="w")
            seen.append((both[total.pk].quantity, both[events.pk].quantity, said))
            if last:
                return

    def writer(number):
        write(organization, number)
        finished.append(number)
        if len(finished) == WRITERS:
            done.set()

    finished = []
    run_parallel([*(lambda n=n: writer(n) for n in range(WRITERS)), read])
    assert len(seen) > 1
    before = [0] * WRITERS
    for sum_, number, said in seen:
        for state in (digits(sum_), digits(said.total)):
            assert all(two % 2 == 0 and two >= old for two, old in zip(state, before, strict=True))
            before = state
        assert sum(digits(sum_)) == number
        assert sum(bucket.quantity for bucket in said.buckets) == said.total
        assert sum(group.total for group in said.groups) == said.total  # of the same instant
    assert before == [2 * BATCHES] * WRITERS


PRICE = {
    "model": "graduated",
    "included": "5",
    "steps": [{"up_to": "50", "unit_amount": "0.03"}, {"up_to": None, "unit_amount": "0.007"}],
}


def make_priced(mode):
    meter = create_meter(
        organization_id=None,
        name=f"Parallel units {next(_numbers)}",
        filter=EVERYTHING,
        aggregation={"func": "sum", "property": "n"},
        at=NOON,
    )
    prices = checked_metered_prices([{"meter": meter.name, "mode": mode, "price": PRICE}])
    return make_reporter("10", metered_prices=prices)


def use(organization):
    ids = []
    for turn in range(4):
        sent = [CustomerEvent(name="e", metadata={"n": n}) for n in (1, 2 + turn)]
        ids += ingest_events(organization_id=organization.pk, events=sent, at=NOON).event_ids
    void_event(organization_id=organization.pk, event_id=ids[0], reason="r", actor="t", at=NOON)


USED = Decimal(8 * (4 * 1 + 2 + 3 + 4 + 5 - 1))


def test_parallel_writers_are_charged_the_price_of_what_they_used_together():
    organization = make_priced("credits")
    assert run_parallel([lambda: use(organization) for _ in range(8)]) == [None] * 8
    counter = MeteredCounter.objects.get(organization=organization)
    assert (counter.quantity, counter.amount, counter.charged) == (USED, price_of(USED, PRICE), price_of(USED, PRICE))
    assert sum(row.amount for row in MeteredCharge.objects.all()) == counter.amount
    assert CreditAccount.objects.get(pk=organization.pk).balance == 10 - counter.amount
    assert audit_books() == []


def test_control_without_the_locks_parallel_writers_lose_usage():
    """Wallets are not locked, and all eight have read the counter before one of them writes it."""
    organization = make_priced("priced")
    event = CustomerEvent(name="e", metadata={"n": 1})

    def report():
        return ingest_events(organization_id=organization.pk, events=[event], at=NOON).inserted

    assert report() == 1
    rate = "metering_rate(metering_report[],text[],timestamptz)"
    with rewritten_functions(
        ("credits_lock(uuid[])", "FOR NO KEY UPDATE", ""),
        (rate, "IF items <> '{}' THEN", "PERFORM tests_meet();\n    IF items <> '{}' THEN"),
        parties=8,
    ):
        assert run_parallel([report] * 8) == [1] * 8
    assert MeteredCounter.objects.get(organization=organization).quantity == 2


def test_two_long_requests_with_the_same_ids_in_another_order_never_wait_in_a_circle():
    organization = make_organization()

    def report(first, second):
        ids = [*(f"{first}{n}" for n in range(2_000)), f"{second}0"]
        events = [CustomerEvent(name="e", external_id=each, external_customer_id="u") for each in ids]
        return ingest_events(organization_id=organization.pk, events=events, at=NOON).inserted

    inserted = run_parallel([lambda: report("a", "b"), lambda: report("b", "a")])
    assert sum(inserted) == 4_000
