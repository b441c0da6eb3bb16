"""Two switches, or a switch and a payment, at the same instant on connections of their own."""

import pytest

from payments.models import Payment
from tests.concurrency.parallel import Meeting, run_parallel
from tests.tiers.plans import HALF, balance, make_plans, now_on, pay, put_on, switch
from tiers.models import Subscription, TierChange
from tiers.services import switching

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_switches_at_once_leave_one_waiting_payment():
    make_plans()
    organization = put_on("small")
    results = run_parallel([lambda slug=slug: switch(organization, slug) for slug in ("large", "pro") * 3])
    assert not [result for result in results if isinstance(result, Exception)]
    assert TierChange.objects.filter(status="awaiting_payment").count() == 1
    [waiting] = Payment.objects.filter(status="open")
    assert waiting.id == TierChange.objects.get(status="awaiting_payment").payment_id
    assert Payment.objects.filter(status="canceled").count() == 5


def test_the_same_key_at_once_is_one_switch():
    make_plans()
    organization = put_on("small")
    results = run_parallel([lambda: switch(organization, "large", key="k") for _ in range(6)])
    assert sorted(result.replayed for result in results) == [False] + [True] * 5
    assert (TierChange.objects.count(), Payment.objects.count()) == (1, 1)


def test_an_invoiced_upgrade_asked_for_many_times_at_once_is_billed_and_credited_once():
    make_plans()
    organization = put_on("small", collection="manual")
    results = run_parallel([lambda: switch(organization, "large") for _ in range(6)])
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert {result.code for result in results if isinstance(result, Exception)} == {"already_on_tier"}
    assert (Payment.objects.get().amount, balance(organization)) == (15, 30)
    assert Subscription.objects.open().count() == 1


def test_a_payment_and_its_withdrawal_at_once_never_lose_the_money():
    make_plans()
    for _ in range(5):
        organization = put_on("small")
        outcome = switch(organization, "large")
        paid, _other = run_parallel([lambda o=outcome: pay(o.payment, HALF), lambda o=organization: switch(o, "pro")])
        # Paid first: the tier is bought (60), then the same price is no upgrade. Withdrawn first: nothing can be paid.
        if isinstance(paid, Exception):
            assert (paid.code, balance(organization)) == ("payment_not_open", 0)
        else:
            assert (now_on(organization).tier.slug, balance(organization)) == ("large", 30)


def test_without_the_lock_parallel_switches_collide(monkeypatch):
    make_plans()
    organization = put_on("small", collection="manual")
    preview, everybody = switching._preview, Meeting(4)

    def preview_together(*args):
        found = preview(*args)
        everybody.wait()
        return found

    def unlocked(organization_id):
        return (
            Subscription.objects.open()
            .select_related("organization", "tier", "paid_tier")
            .get(organization=organization_id)
        )

    monkeypatch.setattr(switching, "lock_up_to_date", lambda id, at: organization)
    monkeypatch.setattr(switching, "open_subscription", unlocked)
    monkeypatch.setattr(switching, "_preview", preview_together)
    results = run_parallel([lambda: switch(organization, "large") for _ in range(4)])
    # All of them saw the same subscription: only the constraints are left, and they are not polite.
    assert [result for result in results if isinstance(result, Exception) and not hasattr(result, "code")]
