"""Each event is recorded whole and once, or leaves no trace."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from core.ids import uuid7
from credits.models import CreditAccount, Hold, LedgerEntry
from credits.services import HoldRequest, place_hold, set_overage_limit, set_spend_limit
from metering.models import UsageDay, UsageEvent, UsageHour, UsageKey, UsageTagDay
from metering.services import record_usage
from tests.builders import NOON, make_funded, make_organization, make_record, usd
from tests.metering.sums import counted, stored

pytestmark = pytest.mark.django_db


def record(*events):
    return record_usage(events, at=NOON)


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def traces(organization):
    """Everything that recording an event leaves behind."""
    return (
        UsageEvent.objects.filter(organization=organization).count(),
        UsageKey.objects.filter(organization=organization).count(),
        UsageHour.objects.filter(organization=organization).count(),
        UsageDay.objects.filter(organization=organization).count(),
        UsageTagDay.objects.filter(organization=organization).count(),
        LedgerEntry.objects.filter(account=organization.pk, kind="charge").count(),
    )


def test_an_event_is_stored_field_for_field():
    organization = make_funded("10")
    member, key, price = uuid7(), uuid7(), uuid7()
    fields = {
        "occurred_at": NOON - timedelta(days=40),
        "kind": "chat",
        "name": "answer",
        "source": "api",
        "external_id": "call-1",
        "member_id": member,
        "api_key_id": key,
        "model": "vendor/model",
        "provider": "vendor",
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "cached_tokens": 300,
        "cache_write_tokens": 100,
        "reasoning_tokens": 50,
        "quantity": usd("2.5"),
        "provider_cost": usd("0.000000000001"),
        "markup": usd("0.1"),
        "charge": usd("0.100000000001"),
        "byok_cost": usd("0.3"),
        "is_free": True,
        "is_byok": True,
        "cost_source": "computed",
        "price_id": price,
        "tier_slug": "starter",
        "generation_id": "gen-1",
        "status": "partial",
        "latency_ms": 1234,
        "tags": {"feature": "search"},
        "metadata": {"nested": {"list": [1, None, "ü"]}},
        "derivation": {"v": 1},
    }
    [outcome] = record(make_record(organization, **fields))
    event = UsageEvent.objects.get(organization=organization)
    assert {name: getattr(event, name) for name in fields} == fields
    assert (event.id, event.received_at, event.entry_id) == (outcome.event_id, NOON, outcome.entry_id)
    assert (event.hold_id, event.corrects_id, event.voided_at) == (None, None, None)


def test_a_charge_is_taken_from_the_wallet_and_linked_both_ways():
    organization = make_funded("10")
    [outcome] = record(make_record(organization, "2.000000000001", actor="api key x"))
    entry = LedgerEntry.objects.get(pk=outcome.entry_id)
    assert (entry.amount, entry.kind, entry.event_id, entry.actor) == (
        usd("-2.000000000001"),
        "charge",
        outcome.event_id,
        "api key x",
    )
    assert UsageEvent.objects.get(organization=organization).entry_id == entry.id
    assert (outcome.charged, outcome.balance, outcome.available) == (
        usd("2.000000000001"),
        usd("7.999999999999"),
        usd("7.999999999999"),
    )


def test_an_event_without_a_charge_needs_no_credit():
    organization = make_organization()
    [outcome] = record(make_record(organization))
    assert (outcome.status, outcome.entry_id) == ("recorded", None)
    assert traces(organization) == (1, 0, 1, 1, 0, 0)


def test_the_same_event_again_counts_once():
    organization = make_funded("10")
    [first] = record(make_record(organization, "1", external_id="a"))
    before = traces(organization)
    [second] = record(make_record(organization, "1", external_id="a"))
    assert (second.status, second.event_id) == ("duplicate", first.event_id)
    assert (traces(organization), balance(organization)) == (before, usd("9"))


def test_another_event_under_a_used_id_is_refused():
    organization = make_funded("10")
    [first] = record(make_record(organization, "1", external_id="a"))
    [second] = record(make_record(organization, "2", external_id="a"))
    assert (second.status, second.event_id) == ("key_reused", first.event_id)
    assert (traces(organization)[0], balance(organization)) == (1, usd("9"))


def test_the_very_same_record_again_is_recognised():
    organization = make_funded("10")
    event = make_record(organization, "1", external_id="a")
    first, again = record(event)[0], record(event, make_record(organization, "1", external_id="b"))[0]
    assert (first.status, again.status, again.event_id) == ("recorded", "duplicate", event.id)
    assert (traces(organization)[0], balance(organization)) == (2, usd("8"))


def test_two_organizations_may_use_the_same_id():
    one, other = make_organization(), make_organization()
    assert statuses(record(make_record(one, external_id="a"), make_record(other, external_id="a"))) == ["recorded"] * 2


def test_an_id_twice_in_one_batch_counts_once():
    organization = make_funded("10")
    outcomes = record(
        make_record(organization, "1", external_id="a"),
        make_record(organization, "1", external_id="a"),
        make_record(organization, "1", external_id="b"),
        make_record(organization, "3", external_id="a"),
    )
    assert statuses(outcomes) == ["recorded", "duplicate", "recorded", "key_reused"]
    assert outcomes[1].event_id == outcomes[3].event_id == outcomes[0].event_id
    assert balance(organization) == usd("8")


def test_credit_that_runs_out_in_the_middle_refuses_only_what_it_cannot_cover():
    organization = make_funded("2.5")
    outcomes = record(
        *[make_record(organization, charge, external_id=charge) for charge in ("1", "1.1", "2", "0.4", "0")]
    )
    assert statuses(outcomes) == ["recorded", "recorded", "insufficient", "recorded", "recorded"]
    assert (outcomes[2].available, outcomes[2].charged, balance(organization)) == (usd("0.4"), 0, 0)
    assert traces(organization) == (4, 4, 1, 1, 0, 3)
    assert stored() == counted()


def test_a_refused_event_leaves_no_trace_and_can_be_sent_again():
    organization = make_organization()
    event = make_record(organization, "1", external_id="a", tags={"feature": "x"})
    assert statuses(record(event)) == ["insufficient"]
    assert traces(organization) == (0, 0, 0, 0, 0, 0)
    set_overage_limit(organization_id=organization.pk, limit=usd("1"))
    assert statuses(record(make_record(organization, "1", external_id="a", tags={"feature": "x"}))) == ["recorded"]


def test_a_repetition_of_an_event_that_was_just_refused_is_refused_too():
    organization = make_organization()
    event = [make_record(organization, "1", external_id="a") for _ in range(2)]
    assert statuses(record(*event)) == ["insufficient", "insufficient"]
    assert traces(organization) == (0, 0, 0, 0, 0, 0)


def test_an_organization_without_a_wallet_is_charged_nothing():
    organization = make_organization()
    CreditAccount.objects.all().delete()
    assert statuses(record(make_record(organization, "1"))) == ["no_account"]
    assert traces(organization) == (0, 0, 0, 0, 0, 0)


def test_a_charge_beyond_the_keys_spend_limit_is_refused():
    organization = make_funded("10")
    limit = uuid7()
    set_spend_limit(organization_id=organization.pk, limit_id=limit, ceiling=usd("1.5"))
    outcomes = record(*[make_record(organization, "1", limit_ids=(limit,)) for _ in range(2)])
    assert statuses(outcomes) == ["recorded", "limit_exceeded"]
    assert balance(organization) == usd("9")


def hold(organization, amount: str) -> UUID:
    request = HoldRequest(organization.pk, usd(amount), str(uuid7()), NOON + timedelta(minutes=15))
    return place_hold(request, at=NOON).hold_id


def test_a_hold_is_settled_with_its_event():
    organization = make_funded("10")
    hold_id = hold(organization, "3")
    [outcome] = record(make_record(organization, "2", hold_id=hold_id))
    assert (outcome.status, outcome.balance, outcome.held, outcome.available) == ("recorded", usd("8"), 0, usd("8"))
    settled = Hold.objects.get(pk=hold_id)
    assert (settled.status, settled.settled_amount) == ("settled", usd("2"))
    assert LedgerEntry.objects.get(hold_id=hold_id).event_id == outcome.event_id
    event = UsageEvent.objects.get(organization=organization)
    assert (event.hold_id, event.entry_id) == (hold_id, outcome.entry_id)


def test_a_gateway_calls_hold_is_settled_by_the_gateway_alone():
    organization = make_funded("10")
    request = HoldRequest(organization.pk, usd("3"), "call", NOON + timedelta(hours=1), purpose="gateway")
    hold_id = place_hold(request, at=NOON).hold_id
    [outcome] = record(make_record(organization, "0", hold_id=hold_id, source="api"))
    assert (outcome.status, Hold.objects.get(pk=hold_id).status) == ("unknown_hold", "open")
    [outcome] = record(make_record(organization, "2", hold_id=hold_id, source="gateway"))
    assert (outcome.status, Hold.objects.get(pk=hold_id).settled_amount) == ("recorded", usd("2"))


def test_a_call_that_cost_nothing_closes_its_hold_without_an_entry():
    organization = make_funded("10")
    hold_id = hold(organization, "3")
    [outcome] = record(make_record(organization, hold_id=hold_id))
    assert (outcome.status, outcome.entry_id, balance(organization)) == ("recorded", None, usd("10"))
    assert Hold.objects.get(pk=hold_id).status == "settled"


def test_a_bill_above_the_hold_is_charged_in_full_and_flagged():
    organization = make_funded("3")
    [outcome] = record(make_record(organization, "4", hold_id=hold(organization, "3")))
    assert (outcome.status, outcome.charged, outcome.balance, outcome.excess) == (
        "recorded",
        usd("4"),
        usd("-1"),
        usd("1"),
    )


def test_a_hold_is_settled_by_one_event_only():
    organization = make_funded("10")
    hold_id = hold(organization, "3")
    [first] = record(make_record(organization, "2", hold_id=hold_id))
    again, other = record(
        make_record(organization, "2", hold_id=hold_id, latency_ms=7), make_record(organization, "1", hold_id=hold_id)
    )
    assert (again.status, again.event_id) == ("duplicate", first.event_id)
    assert (other.status, other.event_id) == ("key_reused", first.event_id)
    named = record(make_record(organization, "2", hold_id=hold_id, external_id="mine"))
    assert statuses(named) == ["hold_not_open"]
    assert (traces(organization)[:2], balance(organization)) == ((1, 1), usd("8"))


def test_somebody_elses_hold_is_as_good_as_none():
    owner, thief = make_funded("10"), make_funded("10")
    hold_id = hold(owner, "3")
    assert statuses(record(make_record(thief, "2", hold_id=hold_id))) == ["unknown_hold"]
    assert statuses(record(make_record(thief, "2", hold_id=uuid7()))) == ["unknown_hold"]
    assert (traces(thief)[0], balance(thief), Hold.objects.get(pk=hold_id).status) == (0, usd("10"), "open")


def test_an_unknown_hold_is_refused_beside_a_good_one_of_the_same_wallet():
    organization = make_funded("10")
    good = make_record(organization, "1", hold_id=hold(organization, "2"))
    assert statuses(record(good, make_record(organization, "4", hold_id=uuid7()))) == ["recorded", "unknown_hold"]
    assert (traces(organization)[0], balance(organization)) == (1, usd("9"))


def test_settlements_charges_and_refusals_share_a_batch():
    one, other = make_funded("10"), make_funded("1")
    outcomes = record(
        make_record(other, "2", external_id="too much"),
        make_record(one, "1", hold_id=hold(one, "2")),
        make_record(one, "4"),
        make_record(other, "1", hold_id=uuid7()),
        make_record(other, "1", external_id="fits"),
        make_record(one),
    )
    assert statuses(outcomes) == ["insufficient", "recorded", "recorded", "unknown_hold", "recorded", "recorded"]
    assert (balance(one), balance(other)) == (usd("5"), 0)
    assert stored() == counted()


def test_nothing_to_record_is_nothing_done():
    assert record_usage([], at=NOON) == []


def test_events_of_any_month_find_a_place():
    organization = make_organization()
    moments = [NOON.replace(year=year) for year in (2001, 2026, 2031)]
    record(*[make_record(organization, occurred_at=moment) for moment in moments])
    assert list(UsageEvent.objects.order_by("occurred_at").values_list("occurred_at", flat=True)) == moments


def test_a_month_is_made_ahead_and_takes_over_what_waited_for_it():
    from metering.services import make_partitions

    organization = make_organization()
    moment = NOON.replace(year=2031, month=5)
    record(make_record(organization, occurred_at=moment))
    made = make_partitions(at=moment, back=1, ahead=1)
    assert [f"{month:%Y-%m}" for month in made] == ["2031-04", "2031-05", "2031-06"]
    assert make_partitions(at=moment, back=1, ahead=1) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM metering_usageevent")
        assert cursor.fetchall() == [("metering_usageevent_2031_05",)]
    record(make_record(organization, occurred_at=moment + timedelta(days=40)))
    assert UsageEvent.objects.count() == 2
