"""The demo of billing: every list of the back office has something to look at, and the books hold."""

from io import StringIO

import pytest
from django.core.management import call_command

from core.money import to_wire
from credits.audit import audit_books
from outbox.models import TaskRun
from payments.models import AutoTopUp, Dispute, IncomingEvent, Payment, Purpose
from tiers.models import Subscription

pytestmark = pytest.mark.django_db


def test_customers_in_every_state_of_paying_are_loaded_once(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    call_command("load_catalogue", verbosity=0)
    for _ in range(2):
        call_command("load_demo_billing", stdout=StringIO())
    statuses = set(Payment.objects.values_list("status", flat=True))
    assert statuses == {"open", "succeeded", "canceled", "refunded"}
    assert set(Payment.objects.values_list("purpose", flat=True)) == set(Purpose.values)
    quarry = Payment.objects.filter(organization__name="Quarry Robotics", status="succeeded").order_by("paid_at", "id")
    assert [(each.purpose, to_wire(each.amount)) for each in quarry.exclude(purpose="subscription")] == [
        ("overage", "12.34"),
        ("top_up", "25"),
        ("top_up", "25"),
    ]
    rows = Subscription.objects.open().filter(organization__mode="live")
    on = {row.organization.name: row for row in rows.select_related("organization", "tier", "next_tier")}
    assert (on["Juniper Analytics"].tier.slug, on["Juniper Analytics"].status) == ("starter", "past_due")
    assert on["Alder & Vale"].next_tier.slug == "starter"
    assert on["Fjord Press"].organization.is_suspended and on["Fjord Press"].collection == "manual"
    assert (on["Tidal Studio"].sold_by, on["Tidal Studio"].sold_reference) == ("shop", "sub_demo_1")
    assert set(IncomingEvent.objects.values_list("outcome", flat=True)) == {"done", "refused"}
    assert Dispute.objects.get().status == "open"
    rules = AutoTopUp.objects.values_list("organization__name", "is_enabled", "paused_at")
    assert sorted(rules) == [("Alder & Vale", True, None), ("Quarry Robotics", True, None)]
    assert TaskRun.objects.filter(outcome="failed").exists()
    assert audit_books() == []


def test_without_test_cards_nothing_is_loaded(settings):
    settings.PAYMENT_PROVIDER = "manual"
    call_command("load_demo_billing", stdout=StringIO())
    assert not Payment.objects.exists()
