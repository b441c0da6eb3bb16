"""A provider's record is read leniently, except for what matters."""

from decimal import Decimal

import pytest

from metering.catalogue import read_record

PRICING = {"prompt": "0.1", "completion": "0"}


@pytest.mark.parametrize("bad", [None, [], "x", {}, {"id": 5}, {"id": ""}, {"id": "v/" + "x" * 200}])
def test_what_cannot_be_a_model_is_none(bad):
    assert read_record(bad) is None


def test_fields_of_the_wrong_kind_are_left_out():
    record = read_record(
        {
            "id": "v/m",
            "name": None,
            "canonical_slug": 7,
            "context_length": "128000",
            "top_provider": "fast",
            "architecture": {"input_modalities": ["text", 5], "output_modalities": "text"},
            "supported_parameters": None,
            "score": Decimal("0.50"),
            "pricing": PRICING,
        }
    )
    assert record.fields == {
        "canonical_slug": "",
        "name": "v/m",
        "context_length": None,
        "max_completion_tokens": None,
        "input_modalities": ["text"],
        "output_modalities": [],
        "supported_parameters": [],
        "tokenizer": "",
        "details": {
            "id": "v/m",
            "name": None,
            "canonical_slug": 7,
            "context_length": "128000",
            "top_provider": "fast",
            "architecture": {"input_modalities": ["text", 5], "output_modalities": "text"},
            "supported_parameters": None,
            "score": "0.5",
        },
    }


@pytest.mark.parametrize("pricing", [None, {}, {"prompt": "0.1"}, {**PRICING, "discount": 0.5}])
def test_a_model_whose_prices_cannot_be_read_says_why(pricing):
    record = read_record({"id": "v/m", "pricing": pricing})
    assert record.card is None
    assert record.problem
