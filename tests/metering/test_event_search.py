"""The list of events looks where the sums say that there are some; what it finds is what looking everywhere finds."""

import random
from datetime import timedelta

import pytest

from core.keyset import read_page
from metering.event_search import narrowed
from metering.forms import EventFilterForm
from metering.models import UsageEvent
from metering.positions import ByTime
from metering.services import record_usage
from tests.builders import NOON, make_customer, make_record

SIZE = 7
NOWHERE = [{"tag": "rare=no"}, {"tag": "feature"}]


@pytest.fixture
def customer(db):
    """Some days with many events, months with hardly any, and a few that are dated ahead."""
    chance, customer = random.Random(4), make_customer()
    offsets = [timedelta(minutes=chance.randrange(2 * 24 * 60)) for _ in range(150)]
    offsets += [timedelta(hours=chance.randrange(24 * 200)) for _ in range(50)] + [timedelta(hours=-30)] * 2
    records = [
        make_record(
            customer,
            occurred_at=NOON - offset,
            model=chance.choice(["a/x", "b/y"]),
            kind=chance.choice(["chat", "embedding"]),
            status=chance.choice(["ok", "ok", "ok", "error", "partial"]),
            tags=chance.choice([{}, {"feature": "s"}, {"feature": "s"}, {"feature": "s", "rare": "yes"}]),
        )
        for offset in offsets
    ]
    assert {outcome.status for outcome in record_usage(records, at=NOON)} == {"recorded"}
    return customer


@pytest.mark.parametrize(
    "asked",
    [
        *({"tag": "feature=s"}, {"tag": "rare=yes"}, {"tag": "rare=no"}, {"tag": "feature"}, {"model": "a/"}),
        *({"tag": "feature=s", "status": "error"}, {"tag": "rare=yes", "status": "partial"}, {"status": "error"}),
        *({"tag": "feature=s", "model": "b/y", "kind": "chat"}, {"kind": "embedding", "status": "error"}),
        *({"tag": "feature=s", "start": "2026-01-01", "end": "2026-03-01"}, {"model": "y", "end": "2026-03-02"}),
    ],
    ids=str,
)
def test_every_page_in_both_directions_is_what_looking_everywhere_finds(customer, asked):
    form = EventFilterForm(asked)
    events = form.apply(UsageEvent.objects.filter(organization_id=customer.id))
    wanted = [event.id for event in events.order_by("-occurred_at", "-id")]
    assert bool(wanted) is (asked not in NOWHERE)
    forth = _walk(customer, events, form, "older")
    assert [row.id for page in forth for row in page.rows] == wanted
    back = _walk(customer, events, form, "newer", start=forth[-1].rows[-1]) if wanted else []
    assert [row.id for page in reversed(back) for row in page.rows] == wanted[:-1]


def test_a_page_that_is_soon_full_looks_at_little_more_than_it_shows(customer):
    form = EventFilterForm({"tag": "feature=s"})
    events = form.apply(UsageEvent.objects.filter(organization_id=customer.id))
    where = {"before": NOON, "after": None, "size": SIZE}
    near, whole = narrowed(events, customer.id, form.cleaned_data, **where)
    assert SIZE < near.filter(occurred_at__lte=NOON).count() < whole.count() < events.count()


def test_rare_events_are_looked_for_in_their_hours(customer):
    form = EventFilterForm({"tag": "rare=yes"})
    events = form.apply(UsageEvent.objects.filter(organization_id=customer.id))
    everywhere = UsageEvent.objects.filter(organization_id=customer.id)
    (found,) = narrowed(everywhere, customer.id, form.cleaned_data, before=None, after=None, size=1_000)
    hours = {event.occurred_at.replace(minute=0) for event in events}
    assert {event.occurred_at.replace(minute=0) for event in found} == hours
    assert events.count() <= found.count() < everywhere.count() / 2


def _walk(customer, events, form, direction, *, start=None):
    position = ByTime()
    at, pages = start and position.of(start), []
    while True:
        cut = {"before": at if direction == "older" else None, "after": at if direction == "newer" else None}
        moments = {name: position.moment_of(value) for name, value in cut.items()}
        for found in narrowed(events, customer.id, form.cleaned_data, **moments, size=SIZE):
            page = read_page(found, position, **cut, size=SIZE)
            if page.is_full:
                break
        pages.append(page)
        at = getattr(page, direction)
        if at is None:
            return pages
