"""Moving those on older versions to the present one: who moves, when, and who stays."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.principal import Actor
from outbox.models import DomainEvent
from tests.builders import make_key, make_user, sign_in
from tests.tiers.plans import END, HALF, ME, make_plans, now_on, put_on, switch
from tiers.close.services import close_organization
from tiers.models import Subscription, Tier, TierChange
from tiers.services import (
    cancel_subscription,
    grant_tier,
    move_to_newest,
    new_version,
    preview_move,
    reactivate_subscription,
)

pytestmark = pytest.mark.django_db
BOSS = Actor("boss")


@pytest.fixture(autouse=True)
def plans():
    return make_plans()


def revise(slug="small", **changes):
    tier = Tier.objects.newest().get(slug=slug)
    return new_version(tier_id=tier.id, changes=changes or {"monthly_price": Decimal(12)}, at=HALF, actor=BOSS)


def move(at=HALF):
    return move_to_newest(tier_slug="small", at=at, actor=BOSS, reason="New prices")


def test_each_begins_the_present_version_with_its_next_period_once():
    organization = put_on("small")
    old = now_on(organization).tier
    new = revise()
    preview = preview_move(tier_slug="small", at=HALF)
    assert (preview.tier, preview.movable, preview.first_at) == (new, [organization.id], END)
    assert not TierChange.objects.filter(kind="version").exists()
    assert (move(), move()) == (1, 0)
    assert (now_on(organization).tier, now_on(organization).next_tier) == (old, new)
    close_organization(organization.id, END)
    after = now_on(organization)
    assert (after.tier, after.price, after.next_tier, after.period_index) == (new, 12, None, 1)
    assert TierChange.objects.get(kind="version").status == "applied"
    told = DomainEvent.objects.filter(type="tier.subscribers_moved").order_by("created_at", "id")
    assert {(each.data["organizations"], each.data["reason"]) for each in told} == {
        (1, "New prices"),
        (0, "New prices"),
    }


def test_the_customer_cannot_take_it_back_but_may_leave():
    organization = put_on("small")
    revise()
    move()
    _, secret = make_key(organization)
    headers = {"Authorization": f"Bearer {secret}"}
    for path, body, code in (
        ("reactivate", None, "nothing_to_reactivate"),
        ("switch", {"tier": "small", "dry_run": True}, "already_on_tier"),
    ):
        answer = Client().post(f"/api/v1/tiers/{path}", body, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    cancel_subscription(organization_id=organization.id, at=HALF, actor=ME, by_customer=True)
    assert now_on(organization).next_tier is None
    reactivate_subscription(organization_id=organization.id, at=HALF, actor=BOSS)
    assert move() == 1


def test_who_is_lent_something_bought_elsewhere_leaves_or_has_another_plan_stays():
    lent, sold, leaving, down = (put_on("small") for _ in range(4))
    grant_tier(organization_id=lent.id, tier_slug="large", until_periods=1, at=HALF, key="loan")
    Subscription.objects.filter(organization=sold).update(sold_by="polar")
    cancel_subscription(organization_id=leaving.id, at=HALF, actor=ME)
    switch(down, "free")
    revise()
    preview = preview_move(tier_slug="small", at=HALF)
    assert preview.movable == []
    assert dict(preview.left_out) == {
        "a coupon lends them a better tier": 1,
        "bought elsewhere": 1,
        "something else happens to them already": 2,
    }
    assert move() == 0


def test_operators_see_who_moves_before_they_say_so():
    organization = put_on("small")
    new = revise()
    browser = sign_in(make_user(is_staff=True, is_superuser=True))
    address = f"/admin/tiers/tier/{new.id}/move/"
    text = browser.get(address).content.decode()
    assert "Organizations that move" in text and "customer cannot take it back" in text
    assert now_on(organization).next_tier is None
    assert browser.post(address, {"reason": ""}).status_code == 200
    assert browser.post(address, {"reason": "New prices"}).status_code == 302
    assert TierChange.objects.get(kind="version").derivation["reason"] == "New prices"
    assert sign_in(make_user(is_staff=True)).get(address).status_code == 403


def test_nobody_is_moved_twice_or_early():
    organization = put_on("small")
    revise()
    move()
    close_organization(organization.id, END - timedelta(seconds=1))
    assert now_on(organization).tier.version == 1
