"""Races on coupons with real connections, each beside a control that shows the race when its guard is off."""

from collections import Counter
from contextlib import suppress

import pytest
from django.db import IntegrityError, connection

from coupons.errors import CouponAlreadyRedeemed, CouponNotValid
from coupons.models import Coupon, Redemption
from coupons.services import deactivate_coupon, generate_batch
from credits.audit import audit_books
from credits.models import CreditAccount, LedgerEntry
from tests.builders import NOON, make_organization
from tests.concurrency.parallel import Meeting, run_parallel
from tests.coupons.making import ACTOR, make_coupon, make_terms, redeem

pytestmark = pytest.mark.django_db(transaction=True)


def outcome(result):
    return "redeemed" if isinstance(result, Redemption) else type(result).__name__


def race(tasks):
    return Counter(outcome(result) for result in run_parallel(tasks))


def balances(organizations):
    found = CreditAccount.objects.in_bulk([organization.pk for organization in organizations])
    return sorted(account.balance for account in found.values())


# ---------------------------------------------------------------- k uses left


@pytest.mark.parametrize(("parallel", "left"), [(24, 7), (8, 1), (8, 8)])
def test_so_many_uses_are_left_so_many_redeem(parallel, left):
    make_coupon(max_uses=left)
    organizations = [make_organization() for _ in range(parallel)]
    tally = race([lambda o=o: redeem(o) for o in organizations])
    assert tally == Counter({"redeemed": left, "CouponNotValid": parallel - left})
    assert (Coupon.objects.get().uses, Redemption.objects.count()) == (left, left)
    assert balances(organizations) == [0] * (parallel - left) + [10] * left
    assert LedgerEntry.objects.count() == left
    assert audit_books() == []


def test_control_without_the_conditional_update_more_redeem_than_uses_are_left(monkeypatch):
    everybody = Meeting(8)

    def count_and_write(coupon, at):
        """As it would be without the conditional UPDATE: read, then write what was read and one more."""
        uses = Coupon.objects.get(pk=coupon.pk).uses
        everybody.wait()
        return uses < coupon.max_uses and Coupon.objects.filter(pk=coupon.pk).update(uses=uses + 1)

    monkeypatch.setattr("coupons.services.redeeming.take_use", count_and_write)
    make_coupon(max_uses=2)
    organizations = [make_organization() for _ in range(8)]
    assert race([lambda o=o: redeem(o) for o in organizations]) == {"redeemed": 8}
    assert Coupon.objects.get().uses == 1


# ---------------------------------------------------------------- one organization


def test_one_organization_at_eight_tills_redeems_once():
    make_coupon()
    organization = make_organization()
    assert race([lambda: redeem(organization)] * 8) == {"redeemed": 1, "CouponAlreadyRedeemed": 7}
    assert (balances([organization]), Coupon.objects.get().uses) == ([10], 1)


def test_one_organization_with_every_code_of_a_batch_redeems_as_many_as_it_may():
    terms = make_terms(max_uses=1, max_uses_per_organization=2)
    batch = generate_batch(prefix="b", count=8, terms=terms, actor=ACTOR, at=NOON)
    organization = make_organization()
    codes = batch.coupons.values_list("code", flat=True)
    assert race([lambda code=code: redeem(organization, code) for code in codes]) == {
        "redeemed": 2,
        "CouponNotValid": 6,
    }
    assert balances([organization]) == [20]
    assert sum(batch.coupons.values_list("uses", flat=True)) == 2


@pytest.fixture
def organization_unlocked(monkeypatch):
    """All six have counted before anybody writes."""
    from accounts.models import Organization

    everybody = Meeting(6)

    def look(organization_id):
        return Organization.objects.get(pk=organization_id)

    def take_together(coupon, at):
        everybody.wait()
        return take(coupon, at)

    from coupons.services import redeeming

    take = redeeming.take_use
    monkeypatch.setattr(redeeming, "lock_organization", look)
    monkeypatch.setattr(redeeming, "take_use", take_together)


def test_control_without_the_lock_the_database_still_refuses_a_second_use(organization_unlocked):
    make_coupon()
    organization = make_organization()
    assert race([lambda: redeem(organization)] * 6) == {"redeemed": 1, "IntegrityError": 5}
    assert (balances([organization]), Coupon.objects.get().uses) == ([10], 1)


def test_control_without_lock_and_constraint_one_organization_redeems_often(organization_unlocked):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE coupons_redemption DROP CONSTRAINT redemption_number_once")
    try:
        make_coupon()
        organization = make_organization()
        assert race([lambda: redeem(organization)] * 6) == {"redeemed": 6}
    finally:
        Redemption.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE coupons_redemption ADD CONSTRAINT redemption_number_once"
                " UNIQUE (organization_id, limit_id, number)"
            )


def test_the_same_key_from_eight_connections_redeems_once():
    make_coupon(max_uses_per_organization=None)
    organization = make_organization()
    results = run_parallel([lambda: redeem(organization, key="order")] * 8)
    assert len({result.id for result in results}) == 1
    assert (balances([organization]), Coupon.objects.get().uses) == ([10], 1)


def test_many_organizations_and_codes_in_opposite_orders_never_deadlock():
    codes = [make_coupon(f"CODE-{n}").code for n in range(4)]
    organizations = [make_organization() for _ in range(4)]

    def spree(worker):
        order = codes[worker % 4 :] + codes[: worker % 4]
        found = []
        for organization in organizations if worker % 2 else organizations[::-1]:
            for code in order:
                with suppress(CouponAlreadyRedeemed):
                    found.append(redeem(organization, code))
        return len(found)

    assert sum(run_parallel([lambda w=w: spree(w) for w in range(8)])) == 16
    assert balances(organizations) == [40] * 4
    assert audit_books() == []


def test_a_coupon_that_is_ended_meanwhile_is_redeemed_before_or_not_at_all():
    coupon = make_coupon()
    organizations = [make_organization() for _ in range(7)]
    end = lambda: deactivate_coupon(coupon_id=coupon.id, reason="r", actor=ACTOR, at=NOON)  # noqa: E731
    results = run_parallel([*(lambda o=o: redeem(o) for o in organizations), end])
    redeemed = sum(isinstance(result, Redemption) for result in results)
    assert redeemed + sum(isinstance(result, CouponNotValid) for result in results) == 7
    coupon.refresh_from_db()
    assert (coupon.uses, coupon.deactivated_at, Redemption.objects.count()) == (redeemed, NOON, redeemed)
    assert not [result for result in results if isinstance(result, IntegrityError)]
