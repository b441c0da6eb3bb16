"""Races on payments with real connections, each beside a control that shows the race when the lock is off."""

from collections import Counter
from datetime import timedelta
from threading import Event
from time import sleep

import pytest
from django.db import OperationalError

from accounts.models import Organization
from credits.models import LedgerEntry
from credits.services import deduct_credits
from payments import registry, services
from payments.models import Discount, IncomingEvent, Payment
from payments.services import incoming, settling, top_ups
from tests.builders import NOON, make_funded, make_organization, usd
from tests.concurrency.parallel import PATIENCE, Meeting, run_parallel, wait_until_waited_for
from tests.payments.building import ask_for, balance_of, with_card
from tests.payments.signing import SECRET, send_standard
from tiers.close.due import forget_due
from tiers.models import Subscription, Tier

pytestmark = pytest.mark.django_db(transaction=True)

N = 12


@pytest.fixture
def heard(monkeypatch):
    """How often a handler ran, with time for the others to catch up."""
    told = []

    def handler(payment, *, at):
        sleep(0.05)
        told.append(payment.status)

    for table in (registry._declined, registry._lockers):
        monkeypatch.delitem(table, "switch", raising=False)
    monkeypatch.setitem(registry._settled, "switch", [handler])
    return told


def look(model, key, everybody):
    """A read of the row instead of its lock, and everybody has read before anybody goes on."""
    row = model.objects.get(pk=key)
    everybody.wait()
    return row


def mark(payment):
    return lambda: services.mark_paid(payment_id=payment.pk, actor="ada", reason="transfer", at=NOON)


def test_a_payment_that_many_mark_as_paid_ends_once(heard):
    payment = ask_for(make_organization(), "10", purpose="switch")
    results = run_parallel([mark(payment)] * N)
    assert {result.status for result in results} == {"succeeded"}
    assert heard == ["succeeded"]


def test_control_without_the_payments_lock_it_ends_often(heard, monkeypatch):
    payment = ask_for(make_organization(), "10", purpose="switch")
    monkeypatch.setattr(settling, "locked_payment", lambda id, owner=None: look(Payment, id, everybody))
    everybody = Meeting(N)
    run_parallel([mark(payment)] * N)
    assert len(heard) > 1


def test_paying_and_canceling_at_once_end_it_one_way(heard):
    payment = ask_for(make_organization(), "10", purpose="switch")
    cancel = [lambda: services.cancel_payment(payment_id=payment.pk, actor="ada", at=NOON)] * 6
    run_parallel([*cancel, *[mark(payment)] * 6])
    payment.refresh_from_db()
    assert heard == [payment.status]


def order(organization, id="ord_1"):
    data = {"id": id, "net_amount": 1000, "customer": {"external_id": str(organization.pk)}}
    return {"type": "order.paid", "data": data}


@pytest.fixture
def sender(settings):
    settings.STANDARD_WEBHOOK_SECRETS = {"polar": SECRET}


def test_one_event_delivered_in_parallel_is_carried_out_once(sender):
    organization = make_organization()
    answers = run_parallel([lambda: send_standard(order(organization))] * N)
    assert {answer.status_code for answer in answers} == {200}
    event = IncomingEvent.objects.get()
    assert (event.outcome, event.attempts, balance_of(organization)) == ("done", 1, 10)
    assert LedgerEntry.objects.filter(account_id=organization.pk).count() == 1


def test_control_without_the_events_lock_it_is_carried_out_often(sender, monkeypatch):
    carried_out = []
    plain = incoming.carry_out

    def slow(report, *, at):
        carried_out.append(report)
        sleep(0.1)
        return plain(report, at=at)

    monkeypatch.setattr(incoming, "carry_out", slow)
    organization = make_organization()
    run_parallel([lambda: send_standard(order(organization))] * N)
    assert len(carried_out) == 1

    carried_out.clear()
    everybody = Meeting(N)
    monkeypatch.setattr(incoming, "lock_event", lambda id: look(IncomingEvent, id, everybody))
    other = make_organization()
    run_parallel([lambda: send_standard(order(other, "ord_2"), id="msg_2")] * N)
    assert len(carried_out) > 1
    # The order's own key is a second lock: even so it buys once.
    assert balance_of(other) == 10


def test_the_last_use_of_a_discount_lowers_one_of_many_payments():
    organization = make_organization()
    terms = {"applies_to": "any", "key": "d", "source": "X", "at": NOON}
    services.add_discount(organization_id=organization.pk, percent=usd("50"), uses=3, **terms)
    payments = run_parallel([lambda: ask_for(organization, "10")] * N)
    assert Counter(payment.amount for payment in payments) == {usd("5"): 3, usd("10"): N - 3}
    assert Discount.objects.get().uses_left == 0


def test_the_same_request_in_parallel_is_one_payment():
    organization = make_organization()
    payments = run_parallel([lambda: ask_for(organization, "10", key="same")] * N)
    assert len({payment.pk for payment in payments}) == 1


@pytest.fixture
def short(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    organization = make_funded("10")
    with_card(organization)
    services.set_auto_top_up(
        organization_id=organization.pk, threshold=usd("5"), amount=usd("20"), actor="ada", at=NOON
    )
    deduct_credits(organization_id=organization.pk, amount=usd("9"), reason="use", actor="test", at=NOON)
    return organization


def test_one_shortage_seen_by_many_workers_is_topped_up_once(short):
    def look():
        services.evaluate_top_up(organization_id=short.pk, at=NOON)
        services.submit_due(at=NOON)

    run_parallel([look] * N)
    services.submit_due(at=NOON + timedelta(minutes=10))
    assert (Payment.objects.count(), balance_of(short)) == (1, 21)


def test_control_without_the_rules_lock_it_is_topped_up_often(short, monkeypatch):
    everybody, numbers = Meeting(4), iter(range(1000))

    def unlocked(organization_id):
        return top_ups.AutoTopUp.objects.filter(organization_id=organization_id).first()

    def within_cap(rule, at):
        """The last look at what there is: everybody takes it before anybody asks for a payment."""
        everybody.wait()
        return True

    monkeypatch.setattr(top_ups, "lock_organization", lambda wanted: Organization.objects.get(pk=wanted))
    monkeypatch.setattr(top_ups, "_rule", unlocked)
    monkeypatch.setattr(top_ups, "_within_cap", within_cap)
    # The key of a top-up counts shortages: without the lock all of them count the same one, so it is made different.
    monkeypatch.setattr(top_ups, "_key", lambda rule, at: f"top-up:{next(numbers)}")
    run_parallel([lambda: services.evaluate_top_up(organization_id=short.pk, at=NOON)] * 4)
    assert Payment.objects.count() == 4


def test_one_due_charge_is_made_by_one_of_many_workers(short, monkeypatch):
    from payments.providers.sandbox import SandboxProvider

    charged = []
    plain = SandboxProvider.charge

    def charge(self, payment, method):
        charged.append(payment.id)
        sleep(0.05)
        return plain(self, payment, method)

    monkeypatch.setattr(SandboxProvider, "charge", charge)
    services.evaluate_top_up(organization_id=short.pk, at=NOON)
    run_parallel([lambda: services.submit_due(at=NOON)] * N)
    assert (len(charged), balance_of(short)) == (1, 21)


def test_a_refund_asked_for_by_many_is_made_once():
    organization = make_organization()
    payment = ask_for(organization, "20")
    mark(payment)()
    refund = [
        lambda: services.refund_payment(payment_id=payment.pk, actor="ada", reason="asked", at=NOON, amount=usd("5"))
    ]
    results = run_parallel(refund * N)
    assert {result.refunded for result in results} == {5}
    assert balance_of(organization) == 15


@pytest.fixture
def at_its_boundary(short):
    """Short of credit, with a period to close and a discount of all: its top-up moves the wallet at once."""
    tier = Tier.objects.create(slug="pro", name="Pro", monthly_credit=0)
    Subscription.objects.begin(organization=short, tier=tier, at=NOON - timedelta(days=40))
    forget_due({short.pk})
    services.add_discount(
        organization_id=short.pk, percent=usd("100"), applies_to="credits", uses=1, key="d", source="X", at=NOON
    )
    return short


def top_up_while_a_card_is_saved(organization, monkeypatch):
    """The rule is looked at for a moment; in that moment its owner saves a card."""
    plain, looking = top_ups._within_cap, Event()

    def within_cap(rule, at):
        looking.set()
        wait_until_waited_for()
        return plain(rule, at)

    monkeypatch.setattr(top_ups, "_within_cap", within_cap)

    def save():
        assert looking.wait(PATIENCE)
        return with_card(organization, "test_card_later")

    return run_parallel([lambda: services.evaluate_top_up(organization_id=organization.pk, at=NOON), save])


def test_a_top_up_and_a_new_card_at_once_do_not_stand_in_each_others_way(at_its_boundary, monkeypatch):
    payment, method = top_up_while_a_card_is_saved(at_its_boundary, monkeypatch)
    assert (payment.status, method.is_default, balance_of(at_its_boundary)) == ("succeeded", True, 21)


def test_control_without_the_owners_lock_first_one_of_them_is_killed(at_its_boundary, monkeypatch):
    monkeypatch.setattr(top_ups, "lock_organization", lambda wanted: Organization.objects.get(pk=wanted))
    results = top_up_while_a_card_is_saved(at_its_boundary, monkeypatch)
    assert [type(each) for each in results].count(OperationalError) == 1
