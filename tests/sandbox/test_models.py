from decimal import Decimal

import pytest

from tests.sandbox.asking import ask


def models(sandbox, query=""):
    status, body, _ = sandbox.call("GET", f"/api/v1/models{query}")
    assert status == 200, body
    return body


def test_the_list_holds_text_models_and_with_all_every_model(sandbox):
    text = models(sandbox)
    everything = models(sandbox, "?output_modalities=all")
    assert all("text" in model["architecture"]["output_modalities"] for model in text["data"])
    assert len(everything["data"]) > len(text["data"]) == text["total_count"]
    assert text["links"] == {"next": None}
    embeddings = sandbox.call("GET", "/api/v1/embeddings/models")[1]["data"]
    assert {model["id"] for model in embeddings} == {
        model["id"] for model in models(sandbox, "?output_modalities=embeddings")["data"]
    }


def test_every_price_is_a_decimal_string_but_the_discount(sandbox):
    for model in models(sandbox, "?output_modalities=all")["data"]:
        prices = dict(model["pricing"])
        discount = prices.pop("discount", 0)
        assert 0 <= discount < 1
        overrides = prices.pop("overrides", [])
        for name, value in prices.items():
            assert isinstance(value, str), (model["id"], name)
            assert Decimal(value) >= 0 or model["id"] == "openrouter/auto"
        assert all(isinstance(override, dict) for override in overrides)
        assert {"prompt", "completion"} <= set(prices)


def test_the_catalogue_shows_every_price_trap_of_the_contract(sandbox):
    listed = {model["id"]: model for model in models(sandbox, "?output_modalities=all")["data"]}
    assert listed["openrouter/auto"]["pricing"]["prompt"] == "-1"
    assert listed["openrouter/sherlock-dash-alpha"]["pricing"] == {"prompt": "0", "completion": "0"}
    assert listed["google/gemini-2.5-flash-image"]["pricing"]["image_output"] == "0.039"
    assert listed["qwen/qwen3-coder"]["pricing"]["discount"] == Decimal("0.25")
    assert listed["google/gemini-2.5-pro"]["pricing"]["overrides"][0]["min_prompt_tokens"] == 200000
    assert listed["deepseek/deepseek-v3.2"]["pricing"]["overrides"][0]["utc_start"] == 1630
    assert listed["anthropic/claude-3.5-haiku"]["expiration_date"] == "2027-03-31"
    assert listed["perplexity/sonar"]["pricing"]["request"] == "0.005"
    assert listed["perplexity/sonar-reasoning-pro"]["pricing"]["internal_reasoning"] == "0.000003"
    assert listed["meta-llama/llama-3.3-70b-instruct:free"]["pricing"] == {"prompt": "0", "completion": "0"}
    alias = listed["~anthropic/claude-sonnet-latest"]
    assert alias["pricing"] == listed["anthropic/claude-sonnet-4.5"]["pricing"]
    assert alias["alias_target"]["id"] == "anthropic/claude-sonnet-4.5"
    assert all("sandbox" not in model for model in listed.values())


def test_pages_link_to_the_next(sandbox):
    everything = [model["id"] for model in models(sandbox)["data"]]
    first = models(sandbox, "?offset=0&limit=10")
    assert [model["id"] for model in first["data"]] == everything[:10]
    assert first["links"]["next"] == "/api/v1/models?offset=10&limit=10"
    last = models(sandbox, f"?offset={len(everything) - 3}&limit=10")
    assert [model["id"] for model in last["data"]] == everything[-3:]
    assert last["links"]["next"] is None
    assert sandbox.call("GET", "/api/v1/models?limit=x")[0] == 400


def test_the_list_can_be_searched_and_sorted(sandbox):
    assert {model["id"] for model in models(sandbox, "?q=sonnet")["data"]} == {
        "anthropic/claude-sonnet-4.5",
        "~anthropic/claude-sonnet-latest",
    }
    cheap = models(sandbox, "?min_price=0.1&max_price=0.2&sort=pricing-high-to-low")["data"]
    prices = [Decimal(model["pricing"]["prompt"]) for model in cheap]
    assert prices == sorted(prices, reverse=True)
    assert prices and all(Decimal("1E-7") <= price <= Decimal("2E-7") for price in prices)
    with_tools = models(sandbox, "?supported_parameters=tools,reasoning")["data"]
    assert with_tools and all("reasoning" in model["supported_parameters"] for model in with_tools)
    count = sandbox.call("GET", "/api/v1/models/count?q=sonnet")[1]
    assert count == {"data": {"count": 2}}
    assert sandbox.call("GET", "/api/v1/models?max_price=x")[0] == 400


def test_one_model_and_its_endpoints_can_be_read(sandbox):
    model = sandbox.call("GET", "/api/v1/model/openai/gpt-oss-120b")[1]["data"]
    assert model["id"] == "openai/gpt-oss-120b"
    endpoints = sandbox.call("GET", "/api/v1/models/openai/gpt-oss-120b/endpoints")[1]["data"]["endpoints"]
    assert [(row["provider_name"], row["pricing"]["prompt"]) for row in endpoints] == [
        ("DeepInfra", "0.00000004"),
        ("Groq", "0.00000015"),
    ]
    assert sandbox.call("GET", "/api/v1/model/nobody/nothing")[0] == 404
    assert sandbox.call("GET", "/api/v1/models/nobody/nothing/endpoints")[0] == 404
    assert sandbox.call("GET", "/api/v1/models/user")[0] == 401
    assert sandbox.call("GET", "/api/v1/models/user", key=sandbox.settings.api_key)[0] == 200


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("openai/gpt-4o-mini:nitro", "openai/gpt-4o-mini"),
        ("~openai/gpt-mini-latest", "openai/gpt-5-mini"),
        ("openrouter/auto", "openai/gpt-4o-mini"),
        ("meta-llama/llama-3.3-70b-instruct:free", "meta-llama/llama-3.3-70b-instruct:free"),
    ],
)
def test_ids_slugs_suffixes_aliases_and_the_router_find_their_model(sandbox, asked, served):
    status, body, _ = ask(sandbox, asked, "[[tokens=10 prompt=100 reasoning=0]]")
    assert (status, body["model"]) == (200, served)


def test_an_unknown_model_and_one_of_another_kind_are_refused(sandbox):
    status, body, _ = ask(sandbox, "nobody/nothing")
    assert (status, body["error"]["message"]) == (400, "nobody/nothing is not a valid model ID")
    status, body, _ = ask(sandbox, "openai/text-embedding-3-small")
    assert (status, body["error"]["metadata"]["error_type"]) == (400, "wrong_endpoint")
    status, body, _ = sandbox.call(
        "POST", "/api/v1/embeddings", {"model": "openai/gpt-4o", "input": "x"}, key=sandbox.settings.api_key
    )
    assert (status, body["error"]["metadata"]["error_type"]) == (400, "wrong_endpoint")
    assert sandbox.usage() == 0
