"""The shipped tiers, loaded as often as one likes, and shown to visitors."""

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.principal import Actor
from tests.builders import NOON
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.models import Tier
from tiers.services import create_tier, new_version

pytestmark = pytest.mark.django_db


def test_the_four_tiers_are_as_agreed():
    load_catalogue(name=MANAGED_CREDITS, at=NOON)
    found = {
        tier.slug: (tier.monthly_price, tier.monthly_credit, tier.welcome_credit, tier.model_access, tier.byok_allowed)
        for tier in Tier.objects.all()
    }
    assert found == {
        "free": (0, 0, 10, "free", False),
        "starter": (30, 30, 0, "all", False),
        "professional": (50, 50, 0, "all", True),
        "enterprise": (99, 100, 0, "all", True),
    }
    assert {tier.slug: tier.components for tier in Tier.objects.all()} == {
        "free": [{"type": "per_1k_tokens", "amount": "0.001", "applies_to": "all"}],
        "starter": [{"type": "percentage", "percent": "10", "applies_to": "paid"}],
        "professional": [{"type": "percentage", "percent": "5", "applies_to": "paid"}],
        "enterprise": [],
    }
    assert Tier.objects.default().slug == "free"
    assert [tier.slug for tier in Tier.objects.all() if tier.entitlements["teams"]] == ["enterprise"]


def test_loading_again_changes_nothing():
    load_catalogue(name=MANAGED_CREDITS, at=NOON)
    before = list(Tier.objects.values())
    assert load_catalogue(name=MANAGED_CREDITS, at=NOON, update=True) == []
    assert list(Tier.objects.values()) == before


def test_an_operators_changes_stay_unless_an_update_is_asked_for():
    load_catalogue(name=MANAGED_CREDITS, at=NOON)
    starter = Tier.objects.get(slug="starter")
    new_version(tier_id=starter.id, changes={"monthly_price": Decimal(35)}, at=NOON, actor=Actor("operator"))
    assert load_catalogue(name=MANAGED_CREDITS, at=NOON) == []
    assert Tier.objects.current().get(slug="starter").monthly_price == 35
    [updated] = load_catalogue(name=MANAGED_CREDITS, at=NOON, update=True)
    assert (updated.slug, updated.version, updated.monthly_price) == ("starter", 3, 30)


def test_an_operators_default_tier_stays_the_default():
    create_tier(at=NOON, slug="ours", name="Ours", is_default=True)
    load_catalogue(name=MANAGED_CREDITS, at=NOON)
    assert Tier.objects.default().slug == "ours"


def test_the_command_reports_what_it_did(capsys):
    call_command("load_catalogue")
    call_command("load_catalogue")
    assert capsys.readouterr().out.splitlines() == [
        "managed-credits: Free v1, Starter v1, Professional v1, Enterprise v1",
        "managed-credits: nothing to do",
    ]


def test_anybody_may_compare_the_current_public_tiers():
    load_catalogue(name=MANAGED_CREDITS, at=NOON)
    create_tier(at=NOON, slug="secret", name="Secret", is_public=False)
    starter = Tier.objects.get(slug="starter")
    new_version(tier_id=starter.id, changes={"monthly_price": Decimal("29.90")}, at=NOON, actor=Actor("operator"))
    answer = Client().get("/api/v1/tiers/compare")
    rows = answer.json()["data"]
    assert [row["slug"] for row in rows] == ["free", "starter", "professional", "enterprise"]
    assert (rows[1]["monthly_price"], rows[1]["version"]) == ("29.9", 2)
    assert rows[0]["welcome_credit"] == "10"
    assert rows[1]["components"] == [{"type": "percentage", "percent": "10", "applies_to": "paid"}]
