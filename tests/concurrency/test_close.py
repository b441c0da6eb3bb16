"""Two workers at one boundary, on real connections, beside controls that show what the locks and keys are for."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import IntegrityError

from credits.audit import audit_books
from credits.models import CreditAccount, LedgerEntry, Lot, Statement
from credits.services import deduct_credits
from tests.builders import usd
from tests.concurrency.parallel import run_parallel
from tests.tiers.closing import FEBRUARY, JANUARY, MARCH, books, make_subscription, make_tier
from tiers.close.models import PeriodClose
from tiers.close.paper import write_due_statements
from tiers.close.services import close_due, close_organization, close_period
from tiers.services import begin_period

pytestmark = pytest.mark.django_db(transaction=True)


def begin_many(count):
    tier = make_tier(rollover_percent=50)
    made = [make_subscription(tier) for _ in range(count)]
    for subscription in made:
        begin_period(subscription=subscription, at=JANUARY)
    return made


def grants(organization_id):
    return LedgerEntry.objects.filter(account_id=organization_id, kind="grant").count()


def test_workers_that_close_at_once_close_each_boundary_once():
    made = begin_many(12)

    closed = run_parallel([lambda: close_due(at=MARCH, batch=3) for _ in range(4)])

    assert sum(closed) == 24
    assert PeriodClose.objects.count() == 24
    for subscription in made:
        assert books(subscription.organization_id) == books(made[0].organization_id)
    assert audit_books() == []


def test_the_beat_and_callers_that_spend_at_once_close_once_and_spend_from_the_new_period():
    [subscription] = begin_many(1)
    organization = subscription.organization_id

    def spend(amount):
        return deduct_credits(
            organization_id=organization, amount=usd(amount), reason="", actor="", at=FEBRUARY + timedelta(hours=1)
        )

    results = run_parallel(
        [lambda: spend("5") for _ in range(9)]
        + [lambda: close_due(at=FEBRUARY + timedelta(hours=1)) for _ in range(2)]
        + [lambda: close_period(subscription_id=subscription.id, at=FEBRUARY + timedelta(hours=1))]
    )

    assert not [result for result in results if isinstance(result, Exception)]
    assert PeriodClose.objects.count() == 1
    assert CreditAccount.objects.get(pk=organization).balance == 0  # 15 rolled over and 30 new, less nine times 5
    assert {lot.amount for lot in Lot.objects.filter(account_id=organization)} == {30, 15}
    assert audit_books() == []


def test_statements_written_at_once_are_written_once_and_in_order():
    made = begin_many(6)
    close_due(at=MARCH)

    written = run_parallel([lambda: write_due_statements(at=MARCH) for _ in range(4)])

    assert not [result for result in written if isinstance(result, Exception)]
    write_due_statements(at=MARCH)
    assert Statement.objects.count() == 12
    for subscription in made:
        first, second = Statement.objects.filter(organization=subscription.organization_id).order_by("number")
        assert (first.number, second.number) == (1, 2)
        assert (second.starts_at, second.opening) == (first.ends_at, first.closing)


@contextmanager
def locks_off(monkeypatch):
    """Take subscriptions without locking anything, and let both workers have them before either goes on."""
    from threading import Barrier

    from tiers.close import services
    from tiers.services import open_subscription

    together = Barrier(2)

    def claim(organization_id):
        found = services.Subscription.objects.open().select_related("organization", "tier", "next_tier", "paid_tier")
        subscription = found.get(organization_id=organization_id)
        together.wait(timeout=120)
        return subscription

    with monkeypatch.context() as patch:
        patch.setattr(services, "lock_organization", lambda organization_id: None)
        patch.setattr(services, "open_subscription", claim)
        yield
    assert services.open_subscription is open_subscription


def test_without_the_lock_two_workers_do_the_same_close_and_only_the_unique_row_stops_one(monkeypatch):
    [subscription] = begin_many(1)

    with locks_off(monkeypatch):
        results = run_parallel([lambda: close_period(subscription_id=subscription.id, at=FEBRUARY) for _ in range(2)])

    # The race: both worked on the same boundary. The second went as far as its row, which cannot be there twice.
    failures = [result for result in results if isinstance(result, Exception)]
    assert len(failures) == 1
    assert isinstance(failures[0], IntegrityError) and "period_closed_once" in str(failures[0])
    assert grants(subscription.organization_id) == 3  # the first period's, the rollover, the second period's
    assert audit_books() == []


def test_without_lock_and_unique_row_the_keys_still_let_no_credit_come_twice(monkeypatch):
    [subscription] = begin_many(1)
    monkeypatch.setattr(PeriodClose.objects, "bulk_create", lambda rows: rows)

    with locks_off(monkeypatch):
        results = run_parallel([lambda: close_period(subscription_id=subscription.id, at=FEBRUARY) for _ in range(2)])

    assert not [result for result in results if isinstance(result, Exception)]
    assert grants(subscription.organization_id) == 3
    assert audit_books() == []


def test_without_lock_row_and_keys_credit_comes_twice(monkeypatch):
    from itertools import count

    from tiers.close import batch

    [subscription] = begin_many(1)
    numbers, plain = count(), batch.allocation_item
    monkeypatch.setattr(PeriodClose.objects, "bulk_create", lambda rows: rows)
    monkeypatch.setattr(
        batch, "allocation_item", lambda after, at: {**plain(after, at), "key": f"unguarded{next(numbers)}"}
    )

    with locks_off(monkeypatch):
        run_parallel([lambda: close_period(subscription_id=subscription.id, at=FEBRUARY) for _ in range(2)])

    assert grants(subscription.organization_id) == 4  # the race, unguarded: the second period's credit came twice


def test_an_organization_closed_from_two_sides_over_several_boundaries_has_each_once():
    [subscription] = begin_many(1)

    run_parallel([lambda: close_organization(subscription.organization_id, MARCH) for _ in range(3)])

    assert list(PeriodClose.objects.order_by("period_index").values_list("period_index", flat=True)) == [0, 1]
    assert audit_books() == []
