"""Periods of metered prices: what a minimum comes to when the tier changes, and where corrections count."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine

from accounts.principal import Actor
from credits.audit import audit_books
from metering.metered.models import MeteredCounter
from payments.models import Payment, Purpose
from tests.builders import NOON, usd
from tests.metering.metered import balance, make_metered, take_back, use
from tests.metering.reporting import Reporter
from tiers.close.services import close_due
from tiers.models import Subscription
from tiers.services import cancel_subscription, subscribe
from tiers.services.subscriptions import set_collection

pytestmark = pytest.mark.django_db
OPERATOR = Actor("operator")
CHEAP = {"model": "per_unit", "unit_amount": "0.01"}


def counters(organization):
    rows = MeteredCounter.objects.filter(organization=organization).order_by("starts_at", "id")
    return [(row.quantity, row.amount, row.charged, row.owed, row.minimum) for row in rows]


def make_paying(minimum, mode="priced", **tier):
    """An organization whose tier asks for ``minimum`` USD a period at least, by a bill."""
    organization = make_metered({**CHEAP, "minimum": minimum}, mode=mode, monthly_price=usd("10"), **tier)
    set_collection(organization_id=organization.pk, collection="manual", at=NOON, actor=OPERATOR)
    return organization


def halfway(organization):
    present = Subscription.objects.open().get(organization=organization)
    return present.period_starts_at + (present.period_ends_at - present.period_starts_at) / 2


def test_a_minimum_is_due_for_the_part_of_the_period_in_which_its_tier_was_in_force():
    organization, other = make_paying("30"), make_paying("10")
    use(organization, "500")  # 5 of the 15 that half a period asks for
    at = halfway(organization)
    slug = Subscription.objects.open().get(organization=other).tier.slug
    subscribe(organization_id=organization.pk, tier_slug=slug, at=at, actor=OPERATOR)
    assert counters(organization) == [(500, 15, 0, 15, 15)]
    over = Subscription.objects.open().get(organization=organization).period_ends_at
    close_due(at=over)
    assert counters(organization) == [(500, 15, 0, 15, 15), (0, 5, 0, 5, 5)]
    bill = Payment.objects.get(organization=organization, purpose=Purpose.OVERAGE)
    assert (bill.amount, bill.subject["metered"]) == (20, "20")
    close_due(at=over)
    assert counters(organization) == [(500, 15, 0, 15, 15), (0, 5, 0, 5, 5)]


def test_a_minimum_is_not_dodged_by_leaving_at_once():
    organization = make_paying("30", mode="credits")
    [event] = use(organization, "500")
    at = halfway(organization)
    cancel_subscription(organization_id=organization.pk, at=at, actor=OPERATOR, at_once=True)
    assert counters(organization) == [(500, 15, 5, 10, 15)]
    take_back(organization, event, at=at)  # what is left of the charge, never less than the minimum
    assert counters(organization) == [(0, 15, 5, 10, 15)]
    assert (balance(organization), audit_books()) == (5, [])


def correct(organization, event, number, at):
    body = {"reason": "miscounted", "event": {"name": "unit", "metadata": {"n": number}}}
    with time_machine.travel(at, tick=False):
        assert Reporter(organization).ask("POST", f"metering/events/{event}/correct", body)[0] == 200


def test_a_correction_counts_in_the_period_of_the_event_that_it_replaces():
    organization = make_metered(credit="20")  # 10 units a period are included, 1 USD each after them
    [first] = use(organization, "12")
    [other] = use(organization, "0")
    later = Subscription.objects.open().get(organization=organization).period_ends_at + timedelta(days=1)
    use(organization, "3", at=later)
    assert counters(organization) == [(12, 2, 2, 0, None), (3, 0, 0, 0, None)]
    correct(organization, first, 14, later)
    correct(organization, other, 1, later)  # which counted nothing: by when it was received
    assert counters(organization) == [(15, 5, 5, 0, None), (3, 0, 0, 0, None)]
    assert (balance(organization), audit_books()) == (15, [])


def test_a_correction_is_priced_by_the_tier_of_its_time():
    organization, other = make_paying("0", mode="credits"), make_metered(CHEAP, monthly_price=usd("10"))
    [event] = use(organization, "500")
    at = halfway(organization)
    slug = Subscription.objects.open().get(organization=other).tier.slug
    subscribe(organization_id=organization.pk, tier_slug=slug, at=at, actor=OPERATOR)
    correct(organization, event, 700, at + timedelta(days=1))
    assert counters(organization) == [(700, 7, 7, 0, None)]
    assert balance(organization) == Decimal("3")


@time_machine.travel(NOON, tick=False)
def test_a_step_within_a_closed_period_is_explained():
    organization = make_paying("30")
    [event] = use(organization, "5000")  # 50
    at = halfway(organization)
    cancel_subscription(organization_id=organization.pk, at=at, actor=OPERATOR, at_once=True)
    take_back(organization, event, at=at)  # 15 remain due
    answer = Reporter(organization).ask("GET", f"metering/events/{event}/explain")[1]
    assert ([row["amount"] for row in answer["metered"]], answer["agrees"]) == (["50", "-35"], True)
