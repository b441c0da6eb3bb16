"""Keeping routing rules: what cannot work is refused, and then nothing is kept."""

import pytest
from django.utils import timezone

from core.ids import uuid7
from metering.services.price_book import sync_models
from openrouter.errors import InvalidRoutingRule
from openrouter.gateway.routing import read_rules
from openrouter.models import RoutingRule
from openrouter.services import delete_routing_rule, save_routing_rule
from tests.builders import make_customer, make_user

pytestmark = pytest.mark.django_db

A, B, C = "maker/a", "maker/b", "other/c"


@pytest.fixture(autouse=True)
def catalogue():
    models = [
        {"id": each, "name": each, "pricing": {"prompt": "0.000001", "completion": "0.000002"}} for each in (A, B, C)
    ]
    sync_models(models, source="openrouter", at=timezone.now())


def save(match=A, fallbacks=(B,), rule_id=None, **fields):
    return save_routing_rule(rule_id=rule_id, match=match, fallbacks=list(fallbacks), at=timezone.now(), **fields)


def test_a_rule_is_kept_changed_and_forgotten():
    rule = save(note="first")
    changed = save(rule_id=rule.pk, fallbacks=[C], provider={"sort": "price"})
    assert RoutingRule.objects.get() == changed == rule
    kept = RoutingRule.objects.get()
    assert (kept.fallbacks, kept.provider, kept.note) == ([C], {"sort": "price"}, "first")
    delete_routing_rule(rule_id=rule.pk)
    assert not RoutingRule.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"match": "maker/unknown"}, "'maker/unknown'"),
        ({"fallbacks": ["maker/unknown"]}, "'maker/unknown'"),
        ({"match": "nobody/*"}, "no models of nobody"),
        ({"fallbacks": []}, "adds nothing"),
        ({"fallbacks": [B, B]}, "different models"),
        ({"fallbacks": [A]}, "maker/a → maker/a"),
        ({"match": "maker/*", "fallbacks": [C, B]}, "maker/* → maker/b"),
        ({"tier_slug": "no-such-tier"}, "no tier"),
        ({"provider": {"colour": "red"}}, "'colour'"),
        ({"provider": {"order": "azure"}}, "a list of names"),
        ({"provider": {"zdr": 1}}, "true or false"),
        ({"provider": {"data_collection": "maybe"}}, "allow, deny"),
        ({"provider": {"max_price": {"prompt": "-1"}}}, "max_price"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_kept(fields, said):
    with pytest.raises(InvalidRoutingRule) as refusal:
        save(**fields)
    assert said in refusal.value.detail
    assert not RoutingRule.objects.exists()


def test_a_way_back_over_other_rules_is_refused():
    save(A, [B])
    save(B, [C])
    with pytest.raises(InvalidRoutingRule) as refusal:
        save(C, [A])
    assert "other/c → maker/a → maker/b → other/c" in refusal.value.detail
    assert save(C, [A], is_enabled=False)  # a rule that is off leads nowhere


def test_rules_of_two_organizations_form_no_circle():
    one, other = make_customer().pk, make_customer().pk
    save(A, [B], organization_id=one)
    assert save(B, [A], organization_id=other)
    with pytest.raises(InvalidRoutingRule):
        save(B, [A])  # for everybody, so for the first as well


def test_a_rule_that_is_changed_is_not_held_against_itself():
    rule = save(A, [B])
    assert save(A, [C], rule_id=rule.pk)
    assert save(B, [A])


def test_the_first_that_fits_applies_alone():
    organization = make_customer().pk
    everybody = save(A, [C])
    author = save("maker/*", [C])
    own = save(A, [B], organization_id=organization)
    first = save("other/*", [], provider={"sort": "price"}, priority=1)
    rules = read_rules()
    assert rules.first([A], organization, "free") == own
    assert rules.first([A], uuid7(), "free") == everybody
    assert rules.first([B], organization, "free") == author
    assert rules.first(["other/c:nitro", C], organization, "free") == first
    assert rules.first(["else/d"], organization, "free") is None


def test_operators_edit_rules_and_are_told_what_is_wrong(client):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    form = {
        "match": A,
        "fallbacks": f"{B}, {C}",
        "tier_slug": "",
        "organization": "",
        "provider": "{}",
        "priority": "10",
    }
    page = client.post("/admin/openrouter/routingrule/add/", {**form, "is_enabled": "on", "note": "spare"})
    assert page.status_code == 302
    rule = RoutingRule.objects.get()
    assert (rule.fallbacks, rule.priority, rule.note) == ([B, C], 10, "spare")
    page = client.post(f"/admin/openrouter/routingrule/{rule.pk}/change/", {**form, "fallbacks": "maker/unknown"})
    assert page.status_code == 200 and "&#x27;maker/unknown&#x27;" in page.content.decode()
    assert RoutingRule.objects.get().fallbacks == [B, C]
    listing = client.get("/admin/openrouter/routingrule/").content.decode()
    assert "everybody" in listing and f"{B}, {C}" in listing
    assert client.post(f"/admin/openrouter/routingrule/{rule.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not RoutingRule.objects.exists()
