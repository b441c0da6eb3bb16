"""Recommendations followed at once with real connections, beside a control with the lock off."""

from collections import Counter

import pytest

from accounts.principal import Actor
from advice import services
from advice.models import Confidence, Finding, Recommendation
from advice.services import rules
from openrouter.models import RoutingRule
from tests.builders import NOON, make_organization
from tests.concurrency.parallel import Meeting, run_parallel
from tests.metering.reporting import make_model
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db(transaction=True)
MODEL, SMALL, FREE = "maker/large", "maker/small", "maker/large:free"


def found(organization, kind, **evidence):
    return Recommendation.objects.create(
        organization=organization,
        kind=kind,
        subject=MODEL,
        saving=5,
        confidence=Confidence.HIGH,
        evidence={"model": MODEL, **evidence},
        found_at=NOON,
        computed_at=NOON,
    )


@pytest.fixture
def organization():
    for model in (MODEL, SMALL, FREE):
        make_model(model)
    organization = make_organization()
    create_tier(slug="t", name="T", at=NOON)
    subscribe(organization_id=organization.pk, tier_slug="t", at=NOON)
    return organization


def follow_at_once(organization):
    rows = [
        found(organization, Finding.CHEAPER_MODEL, to_model=SMALL),
        found(organization, Finding.FREE_MODEL, to_model=FREE),
        found(organization, Finding.OUTPUT_LIMIT, max_tokens=320),
    ]
    ids = {"organization_id": organization.pk, "actor": Actor("ada@example.com"), "at": NOON}
    tasks = [lambda row=row: services.apply_recommendation(recommendation_id=row.pk, **ids) for row in rows]
    return Counter(type(result).__name__ for result in run_parallel(tasks))


def test_what_is_followed_at_once_makes_one_rule_and_one_model_answers(organization):
    assert follow_at_once(organization) == {"Recommendation": 2, "NotApplicable": 1}
    rule = RoutingRule.objects.get()
    assert rule.max_tokens == 320 and rule.replacement in (SMALL, FREE)
    assert Recommendation.objects.filter(state="applied", rule_id=rule.pk).count() == 2


def test_control_without_the_lock_three_rules_are_written(organization, monkeypatch):
    """Everybody has read the rules before anybody writes one."""
    everybody, plain = Meeting(3), rules.terms_for

    def terms_for(organization_id):
        everybody.wait()
        return plain(organization_id)

    monkeypatch.setattr("advice.services.recommendations.lock_organization", lambda _: None)
    monkeypatch.setattr(rules, "terms_for", terms_for)
    assert follow_at_once(organization) == {"Recommendation": 3}
    assert RoutingRule.objects.count() == 3
