"""Models, the calling key, credits and single calls, in OpenRouter's shapes."""

import re
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import ApiKey
from accounts.principal import Actor
from accounts.services import KeyTerms, update_api_key
from metering.models import LanguageModel
from openrouter.gateway.reads.models import catalogue
from openrouter.services.catalogue import LIVE_SOURCE, TEST_SOURCE
from tests.openrouter.gateway.serving import Client

pytestmark = pytest.mark.django_db(transaction=True)


def test_models_are_listed_as_the_provider_lists_them(customer, sandbox):
    ours = customer().get("/models").json
    _, theirs, _ = sandbox.call("GET", "/api/v1/models")
    assert ours["total_count"] == theirs["total_count"]
    known = {model["id"]: model for model in theirs["data"]}
    for model in ours["data"]:
        original = known[model["id"]]
        for name in ("id", "canonical_slug", "name", "context_length", "top_provider", "supported_parameters"):
            assert model[name] == original[name]
        for name, price in original["pricing"].items():
            if isinstance(price, str) and name != "overrides":
                assert Decimal(model["pricing"][name]) == Decimal(price)


def test_each_model_says_whether_and_at_what_price_the_caller_may_use_it(customer, served):
    paid = {model["id"]: model for model in customer().get("/models").json["data"]}
    mini = paid["openai/gpt-4o-mini"]["farebox"]
    assert (mini["allowed"], mini["pricing"]["prompt"]) == (True, "0.000000165")
    free = {model["id"]: model["farebox"] for model in customer(tier="free").get("/models").json["data"]}
    assert not free["openai/gpt-4o-mini"]["allowed"]
    assert free["sandbox/chat:free"]["allowed"]
    public = Client(served.port, None).get("/models").json["data"]
    assert "farebox" not in public[0]


def test_models_can_be_searched_and_paged(customer):
    buyer = customer()
    found = buyer.get("/models?q=gpt-4o&limit=2&offset=1").json
    assert len(found["data"]) == 2
    assert found["total_count"] >= 3
    assert "offset=3" in (found["links"]["next"] or "offset=3")
    assert {m["id"] for m in buyer.get("/models?output_modalities=embeddings").json["data"]} == {
        m["id"] for m in buyer.get("/embeddings/models").json["data"]
    }
    assert buyer.get("/models?limit=x").status == 400
    assert buyer.get("/models/count").json["data"]["count"] > 50


def test_models_that_the_stand_in_alone_serves_are_for_test_keys(customer, served):
    LanguageModel.objects.filter(pk="sandbox/chat").update(source=TEST_SOURCE)
    catalogue.clear()
    try:
        live, test = customer(), customer(mode="test")
        for caller, is_shown in ((live, False), (Client(served.port, None), False), (test, True)):
            listed = {model["id"] for model in caller.get("/models").json["data"]}
            assert ("sandbox/chat" in listed) == is_shown
            assert caller.get("/model/sandbox/chat").status == (200 if is_shown else 404)
            assert caller.get("/models/count").json["data"]["count"] == len(listed)
    finally:
        LanguageModel.objects.filter(pk="sandbox/chat").update(source=LIVE_SOURCE)
        catalogue.clear()


def test_the_endpoints_of_a_model_are_the_providers(customer):
    buyer = customer()
    answer = buyer.get("/models/openai/gpt-4o-mini/endpoints").json["data"]
    assert [endpoint["provider_name"] for endpoint in answer["endpoints"]] == ["OpenAI", "Azure"]
    assert buyer.get("/model/openai/gpt-4o-mini").json["data"]["id"] == "openai/gpt-4o-mini"
    assert buyer.get("/models/nobody/nothing/endpoints").status == 404


def test_without_the_provider_the_price_list_is_the_only_endpoint(customer, settings):
    settings.OPENROUTER_BASE_URL = "http://127.0.0.1:9/api/v1"
    [only] = customer().get("/models/openai/gpt-4o-mini/endpoints").json["data"]["endpoints"]
    assert Decimal(only["pricing"]["prompt"]) == Decimal("0.00000015")


def test_a_key_sees_what_binds_it_the_wallet_or_its_own_limit(customer):
    unlimited = customer(credit="3")
    unlimited.chat()
    document = unlimited.get("/key").json["data"]
    assert (document["limit"], document["limit_remaining"]) == (None, unlimited.account.available)
    assert document["usage"] == document["usage_daily"] == unlimited.event.charge
    assert document["farebox"]["binding"] == "wallet"
    key, terms = ApiKey.objects.get(organization=unlimited.organization), {"organization_id": unlimited.organization.pk}
    for limit in ("0.25", None, "0.5"):  # what was used without a limit counts for the next one
        amount = None if limit is None else Decimal(limit)
        changed = KeyTerms(scopes=tuple(key.scopes), spend_limit=amount)
        update_api_key(key_id=key.pk, name="x", terms=changed, actor=Actor("t"), at=timezone.now(), **terms)
        unlimited.chat()
    document = unlimited.get("/key").json["data"]
    assert document["usage"] == sum(event.charge for event in unlimited.events)
    assert document["limit_remaining"] == document["limit"] - document["usage"]
    limited = customer(credit="3", spend_limit=Decimal("0.5"))
    limited.chat()
    document = limited.get("/key").json["data"]
    assert document["limit"] == Decimal("0.5")
    assert document["limit_remaining"] == Decimal("0.5") - limited.event.charge
    assert document["farebox"]["binding"] == "key"
    assert limited.secret not in str(document)


def test_credits_differ_by_the_balance_exactly(customer):
    buyer = customer(credit="3")
    buyer.chat()
    money = buyer.get("/credits").json["data"]
    assert money["total_credits"] - money["total_usage"] == buyer.account.balance
    assert money["total_usage"] == buyer.event.charge


def test_a_call_is_found_by_either_id_and_by_its_own_organization_alone(customer):
    buyer, stranger = customer(), customer()
    answer = buyer.chat()
    for wanted in (answer.headers["x-generation-id"], answer.headers["x-farebox-event-id"]):
        found = buyer.get(f"/generation?id={wanted}").json["data"]
        assert found["total_cost"] == answer.charge
        assert found["native_tokens_completion"] == buyer.event.completion_tokens
        assert found["farebox"]["event_id"] == answer.headers["x-farebox-event-id"]
        assert stranger.get(f"/generation?id={wanted}").status == 404
    for nonsense in ("", "gen-1-x", "gen-99999999999-" + "x" * 20, "0" * 400, "';--"):
        assert buyer.get(f"/generation?id={nonsense}").status in (400, 404)


@pytest.mark.parametrize("path", ["/key", "/credits", "/generation?id=x", "/models/user"])
def test_a_strangers_key_reads_nothing(served, path):
    stranger = Client(served.port, "fbx_live_" + "b" * 43)
    assert stranger.get(path).status == 401


def test_amounts_about_the_key_are_plain_numbers(customer):
    buyer = customer()
    for path in ("/key", "/credits"):
        # a whole number, bare or in quotes; ids have an "e" among digits too
        assert not re.search(rb'[:,\[]\s*"?-?[\d.]+[eE][+-]?\d+"?\s*[,}\]]', buyer.get(path).body), path
    assert buyer.get("/key").json["data"]["usage"] == 0
