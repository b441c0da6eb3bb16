"""Plans: what is shown, what a switch costs before it happens, and that a page never charges more than it said."""

import html

import pytest
from django.utils import timezone

from accounts.models import Role
from accounts.principal import Actor
from credits.balances import current_balance
from tests.builders import make_customer, make_user, sign_in, usd
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.models import Subscription, Tier, TierChange
from tiers.querysets import forget_terms, subscription_of
from tiers.services import move_to_newest, new_version, subscribe

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(settings):
    settings.PAYMENT_PROVIDER = "manual"
    load_catalogue(name=MANAGED_CREDITS, at=timezone.now())
    forget_terms()
    return make_customer(owner=make_user(), tier_slug="free")


@pytest.fixture
def owner(customer):
    return sign_in(customer.memberships.get().user)


def text_of(answer):
    return html.unescape(answer.content.decode())


def test_the_plans_stand_beside_each_other_with_what_a_call_costs_on_each(customer, owner):
    answer = owner.get("/plan/")
    offers = {offer.tier.slug: offer for offer in answer.context["comparison"].offers}
    assert [*offers] == ["free", "starter", "professional", "enterprise"]
    assert [choice.markup for choice in offers["professional"].options] == [
        "5 % markup on paid models",
        "At cost: no markup",
    ]
    assert [slug for slug, offer in offers.items() if offer.is_current] == ["free"]
    assert "$0.001 per 1,000 tokens" in text_of(answer) and "Your plan" in text_of(answer)


def test_a_preview_says_what_is_paid_and_changes_nothing(customer, owner):
    answer = owner.get("/plan/switch/", {"tier": "starter"})
    preview = answer.context["preview"]
    assert (preview.amount, preview.credit, preview.takes_effect) == (usd("30"), usd("30"), "when_paid")
    assert "Pay $30.00 and switch" in text_of(answer)
    assert TierChange.objects.count() == 0 and subscription_of(customer.id).tier.slug == "free"


def test_a_switch_asks_for_the_money_once_however_often_the_form_is_sent(customer, owner):
    page = owner.get("/plan/switch/", {"tier": "starter"})
    form = {"tier": "starter", "option": "managed", "key": page.context["key"], "amount": "30"}
    answers = [owner.post("/plan/switch/", form) for _ in range(2)]
    change = TierChange.objects.get()
    assert {answer.url for answer in answers} == {f"/payments/{change.payment_id}/"}
    assert change.amount == usd("30") and change.status == "awaiting_payment"
    assert "waits for the payment of $30.00" in text_of(owner.get("/plan/"))


@pytest.mark.parametrize("seen", ["29.99", "0", "", "x", "-1"])
def test_more_than_the_page_said_is_shown_again_instead_of_charged(customer, owner, seen):
    answer = owner.post("/plan/switch/", {"tier": "starter", "option": "managed", "amount": seen})
    assert "The amount has changed since you saw it" in text_of(answer)
    assert TierChange.objects.count() == 0


def test_a_plan_that_is_not_on_sale_is_refused_with_words(customer, owner):
    Tier.objects.filter(slug="starter").update(is_public=False)
    for slug in ("starter", "nothing", "<script>", "x" * 50, ""):
        answer = owner.get("/plan/switch/", {"tier": slug}, follow=True)
        assert answer.redirect_chain == [("/plan/", 302)] and list(answer.context["messages"]), slug
    assert TierChange.objects.count() == 0


def test_a_trial_begins_ends_and_is_taken_back_on_the_page(customer, owner):
    before = current_balance(customer.id, timezone.now()).balance
    assert "the first month is charged, unless you cancel" in text_of(
        owner.post("/plan/trial/", {"tier": "starter"}, follow=True)
    )
    assert subscription_of(customer.id).status == "trialing"
    assert "The plan ends with its month" in text_of(owner.post("/plan/cancel/", follow=True))
    assert "Keep this plan" in text_of(owner.get("/plan/"))
    assert "The plan goes on" in text_of(owner.post("/plan/reactivate/", follow=True))
    assert not subscription_of(customer.id).cancel_at_period_end
    assert "no trial" in text_of(owner.post("/plan/trial/", {"tier": "professional"}, follow=True)).lower()
    assert current_balance(customer.id, timezone.now()).balance >= before


@pytest.mark.parametrize("role", [Role.BILLING, Role.MEMBER, Role.VIEWER])
def test_who_may_not_manage_may_look_and_nothing_else(customer, role):
    other = make_user()
    customer.memberships.create(user=other, role=role)
    reader = sign_in(other)
    assert "Only owners and admins" in text_of(reader.get("/plan/"))
    assert reader.get("/plan/switch/", {"tier": "starter"}).status_code == 403
    for act in ("switch", "trial", "cancel", "reactivate"):
        assert reader.post(f"/plan/{act}/", {"tier": "starter", "amount": "30"}).status_code == 403
    assert TierChange.objects.count() == 0


def test_what_was_bought_elsewhere_or_moved_by_an_operator_is_not_undone_on_the_page(customer, owner):
    now, me = timezone.now(), Actor("test")
    subscribe(organization_id=customer.id, tier_slug="starter", collection="none", at=now, actor=me)
    Subscription.objects.open().filter(organization=customer).update(sold_by="polar", sold_reference="sub_1")
    assert "bought from polar; change or cancel it there" in text_of(owner.post("/plan/cancel/", follow=True))
    assert not subscription_of(customer.id).cancel_at_period_end

    Subscription.objects.open().filter(organization=customer).update(sold_by="", sold_reference="")
    new_version(tier_id=Tier.objects.get(slug="starter").id, at=timezone.now(), changes={"monthly_price": 40}, actor=me)
    assert move_to_newest(tier_slug="starter", at=timezone.now(), actor=me, reason="prices") == 1
    page = text_of(owner.get("/plan/"))
    assert "Starter has new terms for you from" in page and "to stay" not in page
    owner.post("/plan/reactivate/")
    assert subscription_of(customer.id).next_tier_id and TierChange.objects.get().status == "scheduled"


def test_more_plans_ask_no_more_of_the_database(customer, owner, django_assert_max_num_queries):
    with django_assert_max_num_queries(10):
        owner.get("/plan/")
