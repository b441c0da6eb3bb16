"""Events of an organization's own customers: all or none, once, counted in the period of their receipt."""

import threading
from datetime import timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from django.db import connection, connections, transaction

from core.errors import InvalidRequest
from core.ids import uuid7
from metering.customer_events import CustomerEvent
from metering.models import UsageEvent, UsageHour
from metering.services import correct_event, cut_off_usage, ingest_events, make_partitions
from tests.builders import NOON, make_organization, make_record
from tests.concurrency.parallel import PATIENCE, wait_until_waited_for

LLM = {"vendor": "openai", "model": "m-large", "input_tokens": 900, "cached_input_tokens": 100, "output_tokens": 300}


def events_of(organization):
    return UsageEvent.objects.filter(organization=organization).order_by("name")


def test_a_customers_event_is_stored_as_it_was_sent(db):
    organization, customer = make_organization(), uuid7()
    metadata = {"n": 3, "x": Decimal("0.10"), "ok": True, "s": "3", "_cost": {"amount": "0.36"}, "_llm": LLM}
    sent = [
        CustomerEvent(name="a", external_customer_id="u 1", external_id="e-1", parent_id="trace", metadata=metadata),
        CustomerEvent(name="b", customer_id=customer, occurred_at=NOON - timedelta(days=70), source="system"),
    ]
    result = ingest_events(organization_id=organization.pk, events=sent, at=NOON)
    assert (result.inserted, result.duplicates) == (2, 0)
    first, second = events_of(organization)
    assert [first.id, second.id] == result.event_ids
    assert (first.external_customer_id, first.customer_id, first.parent_id) == ("u 1", None, "trace")
    assert first.metadata == {**metadata, "x": 0.1} and first.metadata["ok"] is True
    assert (first.model, first.provider, first.prompt_tokens, first.cached_tokens) == ("m-large", "openai", 900, 100)
    assert (first.occurred_at, first.received_at, first.kind, first.charge) == (NOON, NOON, "custom", 0)
    assert (second.customer_id, second.occurred_at, second.source) == (customer, NOON - timedelta(days=70), "system")
    assert UsageHour.objects.get(organization=organization, name="a").completion_tokens == 300


def test_the_first_event_under_an_id_counts_and_others_are_duplicates(db):
    organization = make_organization()

    def ingest(*names):
        events = [CustomerEvent(name=name, external_customer_id="u", external_id="same") for name in names]
        return ingest_events(organization_id=organization.pk, events=events, at=NOON)

    first = ingest("first", "second")
    again = ingest("third")
    assert (first.inserted, first.duplicates, again.inserted, again.duplicates) == (1, 1, 0, 1)
    assert {*first.event_ids, *again.event_ids} == {events_of(organization).get().id}
    assert events_of(organization).get().name == "first"
    assert ingest_events(organization_id=organization.pk, events=[], at=NOON).inserted == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"external_id": "hold:0"},
        {"external_customer_id": "a\x00"},
        {"metadata": {"k": "a\x00b"}},
        {"metadata": {"k\x00": 1}},
    ],
)
def test_what_cannot_be_kept_refuses_all(db, bad):
    organization = make_organization()
    events = [CustomerEvent(name="good"), CustomerEvent(name="bad", **bad)]
    with pytest.raises(InvalidRequest) as refused:
        ingest_events(organization_id=organization.pk, events=events, at=NOON)
    assert refused.value.facts["index"] == 1
    assert not events_of(organization).exists()


def test_text_with_backslashes_is_no_nul(db):
    organization = make_organization()
    path = "C:\\u0000"
    ingest_events(organization_id=organization.pk, events=[CustomerEvent(name="a", metadata={"path": path})], at=NOON)
    assert events_of(organization).get().metadata == {"path": path}


def test_a_replacement_stays_in_the_period_of_the_event(db):
    organization = make_organization()
    event = CustomerEvent(name="a", external_customer_id="u")
    [event_id] = ingest_events(organization_id=organization.pk, events=[event], at=NOON).event_ids
    replacement = make_record(organization, name="b", external_customer_id="u")
    later = NOON + timedelta(days=40)
    correct_event(
        organization_id=organization.pk, event_id=event_id, replacement=replacement, reason="x", actor="x", at=later
    )
    assert [event.received_at for event in events_of(organization)] == [NOON, NOON]


def test_what_is_recorded_after_a_cut_was_received_after_it(db):
    organization = make_organization()
    cut = cut_off_usage(organization_id=organization.pk, at=NOON)
    earlier = NOON - timedelta(seconds=1)
    ingest_events(
        organization_id=organization.pk, events=[CustomerEvent(name="a", external_customer_id="u")], at=earlier
    )
    assert (cut, events_of(organization).get().received_at) == (NOON, NOON)
    assert cut_off_usage(organization_id=organization.pk, at=earlier) == NOON


@pytest.mark.django_db(transaction=True)
def test_a_cut_waits_for_events_on_their_way():
    organization = make_organization()
    entered, counted, meanwhile = threading.Event(), [], []

    def write():
        with transaction.atomic():
            events = [CustomerEvent(name="a", external_customer_id="u")]
            ingest_events(organization_id=organization.pk, events=events, at=NOON)
            entered.set()
            wait_until_waited_for()
            meanwhile.extend(counted)  # without the lock it would have counted nothing by now
        connections.close_all()

    def cut():
        assert entered.wait(PATIENCE)
        with transaction.atomic():
            moment = cut_off_usage(organization_id=organization.pk, at=NOON + timedelta(seconds=1))
            counted.append(events_of(organization).filter(received_at__lt=moment).count())
        connections.close_all()

    writer, cutter = threading.Thread(target=write), threading.Thread(target=cut)
    writer.start()
    cutter.start()
    writer.join()
    cutter.join()
    assert (meanwhile, counted) == ([], [1])


def test_the_customers_events_are_found_by_their_indexes(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT inhparent) FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid"
            " WHERE inhparent::regclass::text LIKE 'usage_event_by%%' AND indisvalid"
        )
        assert cursor.fetchone()[0] == 4
        cursor.execute("SELECT metering_make_month('2031-05-01')")
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'metering_usageevent_2031_05'")
        assert cursor.fetchone()[0] == 7  # the key, those by time, by receipt and of failures, and these three


def test_a_month_that_is_made_while_its_indexes_are_does_not_stop_them(db):
    making = import_module("metering.migrations.0007_customers_events_by_receipt")
    with connection.schema_editor() as editor:
        making.drop_indexes(None, editor)
        name, (fields, given) = next(iter(making._INDEXES.items()))
        on = f"({making._columns(fields)}) WHERE {given} IS NOT NULL"
        editor.execute(f"CREATE INDEX {name} ON ONLY metering_usageevent {on}")
        assert make_partitions(at=NOON + timedelta(days=1_500), back=0, ahead=0)
        for _ in range(2):  # again after a break, and once more
            making.make_indexes(None, editor)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid::regclass::text = ANY (%s)", [[*making._INDEXES]]
            )
            assert cursor.fetchall() == [(True,)] * 3
