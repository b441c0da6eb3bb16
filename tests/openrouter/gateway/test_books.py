"""Batches of settlements: whole or not at all, each call once."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection

from credits.services import HoldRequest, place_holds
from metering.models import UsageEvent
from metering.records import UsageRecord
from openrouter.gateway.books import Note, Settlement, attempt_rows, note_batch, settle_batch
from openrouter.gateway.call import Try
from openrouter.gateway.ticket import Ticket
from openrouter.models import Attempt

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def buyer(customer):
    return customer()


def placed(buyer) -> Ticket:
    ticket = Ticket(
        organization_id=buyer.organization.pk,
        kind="chat",
        models=["sandbox/chat"],
        mode="live",
        tier="paid",
        components=[],
        key_kind="sub-key",
        key_hash="a" * 64,
        at=datetime.now(UTC),
        actor="test",
    )
    [outcome] = place_holds(
        [
            HoldRequest(
                organization_id=ticket.organization_id,
                amount=Decimal("0.5"),
                key=f"call:{ticket.id}",
                expires_at=ticket.at + timedelta(minutes=5),
                purpose="gateway",
                context=ticket.context(),
                hold_id=ticket.id,
            )
        ],
        at=ticket.at,
    )
    assert outcome.status == "placed"
    return ticket


def settlement(ticket, charge="0.25", **fields) -> Settlement:
    record = UsageRecord(
        organization_id=ticket.organization_id,
        occurred_at=ticket.at,
        kind="chat",
        source="gateway",
        cost_source="provider",
        id=ticket.event_id,
        charge=Decimal(charge),
        provider_cost=Decimal(charge),
        hold_id=ticket.id,
        **fields,
    )
    attempt = Try(1, "sandbox/chat", ticket.at, status=200, cost=Decimal(charge), answered=True)
    return Settlement(record, attempt_rows([attempt], ticket))


def test_a_ticket_survives_its_hold(buyer):
    ticket = placed(buyer)
    [hold] = buyer.holds
    assert Ticket.read(hold.context) == ticket


def test_settling_twice_charges_once_and_keeps_one_attempt(buyer):
    item = settlement(placed(buyer))
    [first] = settle_batch([item])
    [again] = settle_batch([item])
    assert (first.status, again.status) == ("recorded", "duplicate")
    assert (buyer.account.balance, buyer.account.held) == (Decimal("9.75"), 0)
    assert len(buyer.charges) == len(buyer.events) == len(buyer.attempts) == 1


def test_a_batch_with_a_bad_item_leaves_nothing_behind(buyer):
    good, bad = settlement(placed(buyer)), settlement(placed(buyer), generation_id="x" * 500)
    with pytest.raises(DatabaseError):
        settle_batch([good, bad])
    assert Attempt.objects.filter(organization=buyer.organization).count() == 0
    assert UsageEvent.objects.filter(organization=buyer.organization).count() == 0
    assert (buyer.account.balance, buyer.account.held) == (10, 1)
    [outcome] = settle_batch([good])
    assert outcome.status == "recorded"


def test_notes_are_merged_and_ended_holds_left_alone(buyer):
    ticket = placed(buyer)
    note_batch([Note(ticket.id, {"generation": "gen-1"}), Note(ticket.id, {"served": "m"})])
    context = buyer.holds[0].context
    assert (context["generation"], context["served"], context["kind"]) == ("gen-1", "m", "chat")
    settle_batch([settlement(ticket)])
    note_batch([Note(ticket.id, {"generation": "gen-2"})])
    assert buyer.holds[0].context["generation"] == "gen-1"


def test_notes_and_settlements_of_the_same_holds_never_wait_for_each_other(buyer):
    """In opposite orders, at the same time: one of them would have to be killed if both waited."""
    for _ in range(10):
        tickets = [placed(buyer) for _ in range(12)]
        mixed = random.sample(tickets, len(tickets))

        def settle(tickets=tickets):
            try:
                return settle_batch([settlement(ticket, "0.01") for ticket in tickets])
            finally:
                connection.close()

        def note(tickets=mixed):
            try:
                for _ in range(5):
                    note_batch([Note(ticket.id, {"generation": "g"}) for ticket in tickets])
                return []
            finally:
                connection.close()

        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(note), pool.submit(settle), pool.submit(note)]
            assert all(outcome.status == "recorded" for outcome in done[1].result(20))
            done[0].result(20)
            done[2].result(20)
