"""Versions with a date, options and entitlements that hold together."""

from datetime import timedelta

import pytest

from core.errors import InvalidRequest, NotFound
from tests.builders import usd
from tests.tiers.plans import HALF, ME, OWN_KEY, START, make_plans, now_on, put_on, switch
from tiers.entitlements import features_of, matrix_of
from tiers.errors import VersionScheduled
from tiers.models import Tier
from tiers.options import options_of
from tiers.services import create_tier, new_version, withdraw_version

pytestmark = pytest.mark.django_db
SOON = HALF + timedelta(days=5)


def schedule(tier, price="40", at=HALF, begins=SOON):
    return new_version(tier_id=tier.id, changes={"monthly_price": usd(price)}, at=at, effective_at=begins, actor=ME)


def test_a_scheduled_version_is_sold_from_its_date_on():
    small = make_plans()["small"]
    later = schedule(small)
    before, after = (Tier.objects.current(at).get(slug="small") for at in (SOON - timedelta(seconds=1), SOON))
    assert (before, after) == (small, later)
    early, late = put_on("free", collection="none"), put_on("free", collection="none")
    assert switch(early, "small", at=HALF).change.amount == 30
    assert switch(late, "small", at=SOON).change.amount == 40


def test_a_default_tier_stays_the_default_through_its_versions():
    free = make_plans()["free"]
    later = new_version(tier_id=free.id, changes={"name": "Gratis"}, at=HALF, effective_at=SOON, actor=ME)
    assert (Tier.objects.default(HALF), Tier.objects.default(SOON)) == (free, later)


def test_one_version_is_scheduled_at_a_time_and_can_be_withdrawn():
    small = make_plans()["small"]
    later = schedule(small)
    with pytest.raises(VersionScheduled):
        schedule(later)
    assert withdraw_version(tier_id=later.id, reason="x", at=HALF, actor=ME) == small
    assert Tier.objects.get(slug="small").retired_at is None
    assert schedule(small, "45").version == 2


def test_a_version_that_has_begun_cannot_be_withdrawn():
    later = schedule(make_plans()["small"])
    with pytest.raises(NotFound):
        withdraw_version(tier_id=later.id, reason="x", at=SOON, actor=ME)


def test_a_version_cannot_begin_in_the_past():
    with pytest.raises(InvalidRequest):
        schedule(make_plans()["small"], begins=START)


def test_old_customers_keep_their_version_when_a_new_one_begins():
    small = make_plans()["small"]
    organization = put_on("small")
    schedule(small)
    assert (now_on(organization).tier, now_on(organization).price) == (small, 30)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options",
    [
        {"slug": "managed"},
        ["managed"],
        [{"slug": "gold"}],
        [OWN_KEY, OWN_KEY],
        [{**OWN_KEY, "price": "3"}],
        [{**OWN_KEY, "monthly_credit": "-1"}],
        [{**OWN_KEY, "monthly_credit": "0.0000000000001"}],
        [{**OWN_KEY, "monthly_credit": 1.5}],
        [{**OWN_KEY, "components": [{"type": "tax"}]}],
        [{**OWN_KEY, "components": "none"}],
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InvalidRequest):
        create_tier(at=START, slug="odd", name="Odd", options=options)
    assert not Tier.objects.exists()


def test_a_tier_without_options_has_one_with_its_own_figures():
    tier = create_tier(at=START, slug="plain", name="Plain", monthly_credit=usd("5"), byok_allowed=True)
    [option] = options_of(tier)
    assert (option.slug, option.monthly_credit, option.byok_allowed) == ("managed", 5, True)


def test_an_option_may_forbid_what_the_tier_allows():
    managed = {"slug": "managed", "monthly_credit": "5", "components": [], "byok_allowed": False}
    tier = create_tier(at=START, slug="two", name="Two", byok_allowed=True, options=[managed, OWN_KEY])
    assert [option.byok_allowed for option in options_of(tier)] == [False, True]


# ---------------------------------------------------------------- entitlements


@pytest.mark.parametrize(
    "entitlements",
    [
        ["teams"],
        {"teams": "yes"},
        {"analytics_days": -1},
        {"analytics_days": True},
        {"analytics_days": "90"},
        {"recommendations": "gold"},
        {"recommendations": ["tips"]},
        {"exports": "csv"},
        {"exports": ["csv", "xls"]},
        {"exports": [["csv"]]},
    ],
)
def test_entitlements_that_make_no_sense_are_refused(entitlements):
    with pytest.raises(InvalidRequest):
        create_tier(at=START, slug="odd", name="Odd", entitlements=entitlements)


def test_values_are_kept_in_the_order_of_the_words():
    tier = create_tier(at=START, slug="a", name="A", entitlements={"exports": ["pdf", "csv"]})
    assert tier.entitlements == {"exports": ["csv", "pdf"]}


def test_an_operators_own_entitlements_come_last_under_their_names():
    found = features_of({"white_label": True, "seats": 5, "sla": None, "regions": ["eu", "us"], "teams": False})
    assert [(feature.name, feature.text, feature.included) for feature in found] == [
        ("Team management", "Not included", False),
        ("Regions", "eu + us", True),
        ("Seats", "5", True),
        ("Sla", "Not included", False),
        ("White label", "Included", True),
    ]


def test_a_tier_that_says_nothing_of_a_feature_does_not_include_it():
    [row] = matrix_of([{}, {"analytics_days": 1}, {"analytics_days": None}])
    assert [cell.text for cell in row.cells] == ["Not included", "1 day", "Unlimited"]
