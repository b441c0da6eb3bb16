"""Facts are handed on at least once, by nobody twice at a time, and a failing handler keeps nothing else waiting."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.principal import Actor
from outbox import registry, services
from outbox.models import DomainEvent
from outbox.services import dispatch_events, pause_after, publish, retry_event
from tests.builders import make_organization
from tests.concurrency.parallel import Meeting, run_parallel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    monkeypatch.setattr(registry, "_handlers", {})


@pytest.fixture
def organization():
    return make_organization()


def tell(organization, type="thing.happened", **data):
    return publish(type=type, organization_id=organization.id, data=data, actor="test")


def listen(*types, fails=0):
    """A handler that remembers what it saw, and fails the first ``fails`` times."""
    seen = []

    def handler(event):
        seen.append(event.data.get("n"))
        if len(seen) <= fails:
            raise RuntimeError("the other side is away")

    handler.__qualname__ = f"handler{len(registry._handlers)}{types}{fails}"
    registry.handles(*types)(handler)
    return seen


def now():
    return timezone.now()


def test_a_fact_exists_exactly_if_its_change_does(organization):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(organization)
        raise ZeroDivisionError
    assert not DomainEvent.objects.exists()


def test_amounts_dates_and_ids_are_kept_as_text(organization):
    event = tell(
        organization, amount=Decimal("1.500000000000"), who=organization.id, none=None, list=[Decimal("0E-12")]
    )
    event.refresh_from_db()
    assert event.data == {"amount": "1.5", "who": str(organization.id), "none": None, "list": ["0"]}


def test_the_actor_is_kept_as_a_label_and_a_person(organization):
    assert tell(organization).actor_label == "test"
    event = publish(type="t", organization_id=None, data={}, actor=Actor("x" * 200))
    assert len(event.actor_label) == 120


def test_each_handler_sees_each_fact_of_its_type_once(organization):
    mine, all_of_them, others = listen("thing.happened"), listen(registry.ANYTHING), listen("other.happened")
    for n in range(3):
        tell(organization, n=n)
    assert dispatch_events(at=now()) == 3
    assert (mine, all_of_them, others) == ([0, 1, 2], [0, 1, 2], [])
    assert dispatch_events(at=now()) == 0
    assert not DomainEvent.objects.filter(dispatched_at=None).exists()


def test_a_fact_nobody_wants_is_passed_over_for_good(organization):
    tell(organization)
    assert dispatch_events(at=now()) == 1
    seen = listen("thing.happened")
    assert dispatch_events(at=now()) == 0 and seen == []


def test_a_failing_handler_is_called_again_later_alone(organization):
    failing, other = listen("thing.happened", fails=1), listen("thing.happened")
    tell(organization, n=1), tell(organization, n=2)
    assert dispatch_events(at=now()) == 2
    assert (failing, other) == ([1, 2], [1, 2])  # the second fact did not wait for the first
    event = DomainEvent.objects.get(dispatched_at=None)
    assert "RuntimeError: the other side is away" in event.last_error
    assert dispatch_events(at=now()) == 0  # not yet
    assert dispatch_events(at=event.retry_at) == 1
    assert (failing, other) == ([1, 2, 1], [1, 2])
    event.refresh_from_db()
    assert event.dispatched_at is not None and event.last_error == ""


def test_pauses_grow_to_an_hour():
    assert [pause_after(n).total_seconds() for n in (1, 2, 3, 9, 10, 11, 200)] == [5, 10, 20, 1280, 2560, 3600, 3600]


def test_after_the_last_attempt_an_operator_decides(organization):
    failing = listen("thing.happened", fails=1)
    event = tell(organization, n=1)
    DomainEvent.objects.update(attempts=services.MOST_ATTEMPTS)
    assert dispatch_events(at=now() + timedelta(days=9)) == 0
    retry_event(event_id=event.id)
    dispatch_events(at=now())
    assert failing == [1]


def test_a_dispatcher_that_dies_leaves_its_facts_to_the_next(organization, monkeypatch):
    seen = listen("thing.happened")
    tell(organization, n=1)
    with monkeypatch.context() as dying:
        dying.setattr(services, "_hand_on", lambda event: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dispatch_events(at=now())
    assert dispatch_events(at=now()) == 0 and seen == []
    assert dispatch_events(at=now() + services.LEASE) == 1 and seen == [1]


def test_a_handler_runs_outside_any_transaction(organization):
    inside = []

    @registry.handles("thing.happened")
    def look(event):
        inside.append(connection.in_atomic_block)

    tell(organization)
    dispatch_events(at=now())
    assert inside == [False]


def test_parallel_dispatchers_share_the_work_and_repeat_none_of_it(organization):
    seen = listen("thing.happened")
    for n in range(60):
        tell(organization, n=n)
    run_parallel([lambda: dispatch_events(at=now(), limit=10) for _ in range(8)])
    while dispatch_events(at=now()):
        pass
    assert sorted(seen) == list(range(60))


def test_without_the_row_locks_parallel_dispatchers_repeat_each_other(organization, monkeypatch):
    seen = listen("thing.happened")
    for n in range(10):
        tell(organization, n=n)

    def unlocked(at, limit):
        events = list(DomainEvent.objects.waiting(at)[:limit])
        everybody.wait()
        return events

    everybody = Meeting(3)
    monkeypatch.setattr(services, "_claim", unlocked)
    run_parallel([lambda: dispatch_events(at=now()) for _ in range(3)])
    assert len(seen) == 30
