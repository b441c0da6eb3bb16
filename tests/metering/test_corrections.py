"""A voided event counts no longer and its charge is given back; a corrected one takes its place whole."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.ids import uuid7
from credits.errors import InsufficientCredits
from credits.models import CreditAccount, LedgerEntry, Lot
from credits.services import refund_charge
from metering.errors import AlreadyCorrected, UnknownEvent
from metering.models import UsageCorrection, UsageDay, UsageEvent, UsageHour, UsageTagDay
from metering.services import correct_event, rebuild_rollups, record_usage, void_event
from tests.builders import NOON, make_funded, make_organization, make_record, usd
from tests.metering.sums import counted, stored

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=1)


def recorded(organization, charge="0", **fields):
    [outcome] = record_usage([make_record(organization, charge, **fields)], at=NOON)
    assert outcome.status == "recorded"
    return outcome


def void(organization, event_id):
    return void_event(organization_id=organization.pk, event_id=event_id, reason="mistake", actor="tester", at=LATER)


def correct(organization, event_id, charge="0", **fields):
    replacement = make_record(organization, charge, **fields)
    return correct_event(
        organization_id=organization.pk,
        event_id=event_id,
        replacement=replacement,
        reason="mistake",
        actor="tester",
        at=LATER,
    )


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def test_a_void_gives_the_charge_back_to_its_lot_and_empties_the_sums():
    organization = make_funded("10")
    outcome = recorded(organization, "4", tags={"feature": "x"}, prompt_tokens=5, latency_ms=3)
    done = void(organization, outcome.event_id)
    assert (balance(organization), Lot.objects.get().remaining) == (usd("10"), usd("10"))
    entry = LedgerEntry.objects.get(pk=done.correction.entry_id)
    assert (entry.kind, entry.amount, entry.reverses_id, entry.event_id) == (
        "reversal",
        usd("4"),
        outcome.entry_id,
        outcome.event_id,
    )
    assert UsageEvent.objects.get().voided_at == LATER
    assert [model.objects.count() for model in (UsageHour, UsageDay, UsageTagDay)] == [0, 0, 0]


def test_a_void_takes_only_its_own_event_out_of_the_sums():
    organization = make_funded("10")
    first = recorded(organization, "4", tags={"feature": "x", "env": "a"}, latency_ms=3, status="error")
    recorded(organization, "1", tags={"feature": "x", "env": "b"}, latency_ms=5)
    void(organization, first.event_id)
    assert stored() == counted()
    assert (UsageHour.objects.get().charge, UsageHour.objects.get().errors) == (usd("1"), 0)


def test_voiding_twice_changes_nothing():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    first, again = void(organization, outcome.event_id), void(organization, outcome.event_id)
    assert (first.replayed, again.replayed, again.correction) == (False, True, first.correction)
    assert (balance(organization), LedgerEntry.objects.count()) == (usd("10"), 3)
    assert stored() == counted()


def test_a_void_gives_back_only_what_was_not_refunded_before():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    refund = {"organization_id": organization.pk, "entry_id": outcome.entry_id, "reason": "r", "actor": "a", "at": NOON}
    refund_charge(amount=usd("1"), **refund)
    assert LedgerEntry.objects.get(pk=void(organization, outcome.event_id).correction.entry_id).amount == usd("3")
    assert balance(organization) == usd("10")


def test_a_void_of_a_charge_refunded_in_full_moves_no_money():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    refund_charge(organization_id=organization.pk, entry_id=outcome.entry_id, reason="r", actor="a", at=NOON)
    assert void(organization, outcome.event_id).correction.entry_id is None
    assert (balance(organization), UsageHour.objects.count()) == (usd("10"), 0)


def test_an_event_without_a_charge_can_be_voided():
    organization = make_organization()
    outcome = recorded(organization)
    assert void(organization, outcome.event_id).correction.entry_id is None
    assert UsageHour.objects.count() == 0


def test_an_unknown_event_or_somebody_elses_is_not_voided():
    owner, other = make_funded("10"), make_organization()
    outcome = recorded(owner, "4")
    for event_id in (uuid7(), outcome.event_id):
        with pytest.raises(UnknownEvent):
            void(other, event_id)
    assert (UsageEvent.objects.get().voided_at, balance(owner)) == (None, usd("6"))


def test_a_voided_event_keeps_its_callers_id():
    organization = make_funded("10")
    outcome = recorded(organization, "4", external_id="a")
    void(organization, outcome.event_id)
    [again] = record_usage([make_record(organization, "4", external_id="a")], at=LATER)
    assert (again.status, again.event_id, balance(organization)) == ("duplicate", outcome.event_id, usd("10"))


def test_a_correction_reverses_the_old_charge_and_posts_the_new_one():
    organization = make_funded("10")
    outcome = recorded(organization, "4", external_id="a", prompt_tokens=100)
    done = correct(organization, outcome.event_id, "1.5", prompt_tokens=40)
    assert balance(organization) == usd("8.5")
    new = UsageEvent.objects.get(id=done.replacement.event_id)
    assert (new.corrects_id, new.charge, new.external_id) == (outcome.event_id, usd("1.5"), None)
    assert UsageEvent.objects.get(id=outcome.event_id).voided_at == LATER
    assert done.correction.replacement_id == new.id
    assert (UsageDay.objects.get().charge, UsageDay.objects.get().prompt_tokens) == (usd("1.5"), 40)
    assert stored() == counted()


def test_a_correction_may_move_the_event_to_another_hour_and_model():
    organization = make_funded("10")
    outcome = recorded(organization, "4", model="a")
    correct(organization, outcome.event_id, "4", model="b", occurred_at=NOON - timedelta(days=45))
    assert [row.model for row in UsageHour.objects.all()] == ["b"]
    assert stored() == counted()


def test_the_same_correction_again_changes_nothing():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    first = correct(organization, outcome.event_id, "1")
    again = correct(organization, outcome.event_id, "1")
    assert (again.replayed, again.replacement.event_id) == (True, first.replacement.event_id)
    assert (balance(organization), UsageEvent.objects.count()) == (usd("9"), 2)


def test_an_event_is_corrected_once():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    correct(organization, outcome.event_id, "1")
    with pytest.raises(AlreadyCorrected):
        correct(organization, outcome.event_id, "2")
    with pytest.raises(AlreadyCorrected):
        void(organization, outcome.event_id)
    assert (balance(organization), UsageCorrection.objects.count()) == (usd("9"), 1)


def test_a_voided_event_is_not_corrected_but_a_correction_can_be_voided():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    done = correct(organization, outcome.event_id, "1")
    void(organization, done.replacement.event_id)
    with pytest.raises(AlreadyCorrected):
        correct(organization, done.replacement.event_id, "1")
    assert (balance(organization), UsageHour.objects.count()) == (usd("10"), 0)


def test_a_correction_that_the_wallet_cannot_cover_changes_nothing():
    organization = make_funded("10")
    outcome = recorded(organization, "4")
    with pytest.raises(InsufficientCredits):
        correct(organization, outcome.event_id, "10.000000000001")
    assert (balance(organization), UsageCorrection.objects.count()) == (usd("6"), 0)
    assert UsageEvent.objects.get().voided_at is None
    assert stored() == counted()


def test_a_correction_may_spend_what_it_gives_back():
    organization = make_funded("10")
    outcome = recorded(organization, "8")
    correct(organization, outcome.event_id, "10")
    assert balance(organization) == 0


def test_the_organization_is_locked_before_anything_else():
    """A period that is over is closed under that lock, and takes the wallet's after it: the other way round, the two
    would wait for each other."""
    organization = make_funded("10")
    first, second = recorded(organization, "4"), recorded(organization, "1")
    for act in (lambda: void(organization, first.event_id), lambda: correct(organization, second.event_id, "2")):
        with CaptureQueriesContext(connection) as asked:
            act()
        locks = [query["sql"] for query in asked if "FOR NO KEY UPDATE" in query["sql"] or "credits_" in query["sql"]]
        assert 'FROM "accounts_organization"' in locks[0] and "FOR NO KEY UPDATE" in locks[0]


def test_sums_made_anew_are_the_sums_of_the_live_events():
    organization = make_funded("10")
    moments = [NOON, NOON + timedelta(hours=12), NOON - timedelta(hours=12, microseconds=1)]
    outcomes = [recorded(organization, "1", occurred_at=moment, tags={"t": "v"}) for moment in moments]
    void(organization, outcomes[0].event_id)
    right = stored()
    UsageHour.objects.update(charge=7)
    UsageDay.objects.all().delete()
    UsageTagDay.objects.update(events=9)
    counted_events = rebuild_rollups(first=NOON.date() - timedelta(days=2), last=NOON.date() + timedelta(days=2))
    assert (counted_events, stored()) == (2, right)


def test_sums_of_other_days_are_left_alone():
    organization = make_organization()
    recorded(organization)
    UsageHour.objects.update(events=5)
    rebuild_rollups(first=NOON.date() + timedelta(days=1), last=NOON.date() + timedelta(days=1))
    assert UsageHour.objects.get().events == 5
