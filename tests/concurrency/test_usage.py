"""Races on the meter with real connections, each beside a control that shows the race when its guard is off."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from credits.audit import audit_books
from credits.models import CreditAccount, LedgerEntry
from credits.upkeep import bring_up_to_date
from metering.errors import AlreadyCorrected
from metering.ingest import reports
from metering.models import UsageEvent, UsageHour, UsageKey
from metering.services import correct_event, rebuild_rollups, record_usage, void_event
from tests.builders import NOON, make_funded, make_organization, make_record, usd
from tests.concurrency.parallel import Meeting, rewritten_functions, run_parallel
from tests.metering.reporting import Reporter, make_reporter
from tests.metering.sums import counted, stored

pytestmark = pytest.mark.django_db(transaction=True)


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def eight_times(organization):
    tasks = [
        lambda: record_usage([make_record(organization, "1", external_id="same")], at=NOON)[0].status for _ in range(8)
    ]
    return Counter(run_parallel(tasks))


def test_the_same_event_from_eight_connections_counts_once():
    organization = make_funded("100")
    assert eight_times(organization) == {"recorded": 1, "duplicate": 7}
    assert (UsageEvent.objects.count(), balance(organization)) == (1, usd("99"))
    assert stored() == counted()


@pytest.fixture
def ids_unguarded():
    """Look an id up before writing it, instead of letting the unique index decide; all eight look before one writes."""
    looking = (
        "WHERE tests_meet() AND e.external_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM metering_usagekey k WHERE k.external_id = e.external_id)"
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metering_usagekey DROP CONSTRAINT metering_usagekey_pkey")
    take = "metering_take_keys(metering_report[],bigint)"
    with rewritten_functions((take, "WHERE e.external_id IS NOT NULL", looking), parties=8):
        yield
    UsageKey.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metering_usagekey ADD PRIMARY KEY (organization_id, external_id)")


def test_control_without_the_unique_index_the_same_event_counts_more_than_once(ids_unguarded):
    assert eight_times(make_funded("100")) == {"recorded": 8}
    assert UsageEvent.objects.count() == 8


def test_overlapping_batches_in_opposite_order_neither_deadlock_nor_count_twice():
    organizations = [make_funded("1000") for _ in range(3)]

    def batch(worker):
        records = [
            make_record(
                organizations[n % 3],
                "0.5" if n % 2 else "0",
                external_id=f"event {n}",
                occurred_at=NOON - timedelta(hours=n % 7),
                tags={"t": str(n % 5)},
            )
            for n in range(60)
        ]
        return records if worker % 2 else records[::-1]

    outcomes = run_parallel([lambda w=w: record_usage(batch(w), at=NOON) for w in range(8)])
    assert Counter(outcome.status for batch in outcomes for outcome in batch) == {"recorded": 60, "duplicate": 420}
    assert [balance(organization) for organization in organizations] == [usd("995")] * 3
    assert stored() == counted()
    assert audit_books() == []


def test_many_workers_add_to_the_same_sums_exactly():
    organization = make_organization()
    names = [f"n{n}" for n in range(5)]

    def work(worker):
        for turn in range(10):
            order = names[(worker + turn) % 5 :] + names[: (worker + turn) % 5]
            record_usage([make_record(organization, name=name, quantity=usd("0.1")) for name in order], at=NOON)

    assert run_parallel([lambda w=w: work(w) for w in range(8)]) == [None] * 8
    assert {row.name: (row.events, row.quantity) for row in UsageHour.objects.all()} == dict.fromkeys(
        names, (80, usd("8"))
    )
    assert stored() == counted()


def test_parallel_charges_spend_exactly_what_there_is():
    organization = make_funded("20")
    tasks = [lambda: record_usage([make_record(organization, "1") for _ in range(5)], at=NOON) for _ in range(8)]
    statuses = Counter(outcome.status for batch in run_parallel(tasks) for outcome in batch)
    assert statuses == {"recorded": 20, "insufficient": 20}
    assert (balance(organization), UsageEvent.objects.count()) == (0, 20)
    assert LedgerEntry.objects.filter(kind="charge").count() == 20
    assert stored() == counted()


def test_an_event_voided_from_eight_connections_is_given_back_once():
    organization = make_funded("10")
    [outcome] = record_usage([make_record(organization, "4")], at=NOON)
    ids = {"organization_id": organization.pk, "event_id": outcome.event_id, "reason": "r", "actor": "t", "at": NOON}
    done = run_parallel([lambda: void_event(**ids).replayed for _ in range(8)])
    assert Counter(done) == {False: 1, True: 7}
    assert (balance(organization), LedgerEntry.objects.filter(kind="reversal").count()) == (usd("10"), 1)
    assert stored() == counted()


def test_an_event_voided_and_corrected_at_once_ends_one_way():
    organization = make_funded("10")
    [outcome] = record_usage([make_record(organization, "4")], at=NOON)
    ids = {"organization_id": organization.pk, "event_id": outcome.event_id, "reason": "r", "actor": "t", "at": NOON}
    tasks = [lambda: void_event(**ids)] * 3
    tasks += [lambda n=n: correct_event(replacement=make_record(organization, str(n)), **ids) for n in (1, 2, 3)]
    results = run_parallel(tasks)
    moved = [result for result in results if not isinstance(result, AlreadyCorrected) and not result.replayed]
    assert len(moved) == 1, results
    charge = sum(UsageEvent.objects.filter(voided_at=None).values_list("charge", flat=True))
    assert balance(organization) == usd("10") - charge
    assert stored() == counted()


def test_sums_made_anew_while_events_arrive_lose_none():
    organization = make_organization()

    def report():
        for _ in range(25):
            record_usage([make_record(organization, tags={"a": "b"})], at=NOON)

    def rebuild():
        for _ in range(8):
            rebuild_rollups(first=NOON.date(), last=NOON.date())

    assert run_parallel([report, report, report, rebuild, rebuild]) == [None] * 5
    assert UsageHour.objects.get().events == 75
    assert stored() == counted()


def test_corrections_and_batches_over_the_same_sums_do_not_deadlock():
    organization = make_funded("1000")
    hours = [NOON - timedelta(hours=hour) for hour in range(6)]
    outcomes = record_usage([make_record(organization, "1", occurred_at=hour) for hour in hours], at=NOON)

    def move(outcome, hour):
        replacement = make_record(organization, "1", occurred_at=hour)
        correct_event(
            organization_id=organization.pk,
            event_id=outcome.event_id,
            replacement=replacement,
            reason="r",
            actor="t",
            at=NOON,
        )

    def report():
        for _ in range(10):
            record_usage([make_record(organization, occurred_at=hour) for hour in hours], at=NOON)

    tasks = [lambda o=o, h=h: move(o, h) for o, h in zip(outcomes, reversed(hours), strict=True)]
    assert run_parallel([*tasks, report, report, report]) == [None] * 9
    assert balance(organization) == usd("994")
    assert stored() == counted()


def two_reports_in_opposite_order(monkeypatch):
    """Two requests with an ``Idempotency-Key`` each, in parts of one event: more than a statement takes."""
    monkeypatch.setattr(reports, "MOST_IN_A_STATEMENT", 1)
    organization = make_reporter()
    bring_up_to_date([organization.pk], timezone.now())  # else they would close its periods, one after the other
    events = [
        {"name": name, "external_id": name, "occurred_at": (NOON - timedelta(days=day)).isoformat()}
        for day, name in enumerate(("one", "two"))
    ]
    callers = [Reporter(organization), Reporter(organization)]
    tasks = [
        lambda: callers[0].track_batch(events, idempotency_key="a"),
        lambda: callers[1].track_batch(events[::-1], idempotency_key="b"),
    ]
    return organization, run_parallel(tasks)


def test_reports_of_one_transaction_each_do_not_wait_for_each_other(monkeypatch):
    organization, answers = two_reports_in_opposite_order(monkeypatch)
    assert [status for status, _ in answers] == [200, 200]
    assert Counter(each["status"] for _, body in answers for each in body["results"]) == {"recorded": 2, "duplicate": 2}
    assert UsageEvent.objects.filter(organization=organization).count() == 2


def test_control_in_several_statements_they_do(monkeypatch):
    meeting = Meeting(2)

    def one_by_one(records, *, at):
        outcomes = record_usage(records, at=at)
        meeting.wait()
        return outcomes

    monkeypatch.setattr(reports, "_most_together", lambda _: 1)
    monkeypatch.setattr(reports, "record_usage", one_by_one)
    _, answers = two_reports_in_opposite_order(monkeypatch)
    assert sorted(status for status, _ in answers) == [200, 503]  # a deadlock: the database ends one of them
    assert UsageEvent.objects.count() == 2
