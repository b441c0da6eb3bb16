"""Two implementations of the price formula, written apart: ours and the sandbox's, which bills as the provider does."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.jsonio import loads
from metering.rating import PriceCard, TokenUsage, rate
from sandbox.catalogue import Catalogue
from sandbox.pricing import PriceList, Quantities, cost_of

MODELS = [loads(json.dumps(model.public())) for model in Catalogue().models.values()]
FIXED = [model for model in MODELS if not PriceCard.from_openrouter(model["pricing"]).is_dynamic()]


def test_the_sandbox_lists_models_that_can_be_rated():
    assert len(FIXED) > 40


@pytest.mark.parametrize("model", FIXED, ids=lambda model: model["id"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_our_figure_is_what_the_sandbox_bills(model, data):
    prompt, completion = data.draw(st.integers(0, 500_000)), data.draw(st.integers(0, 20_000))
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    audio = data.draw(st.integers(0, prompt - cached - written))
    reasoning = data.draw(st.integers(0, completion))
    images, made, searches = (data.draw(st.integers(0, 4)) for _ in range(3))
    long_lived = data.draw(st.booleans())
    at = data.draw(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31))).replace(tzinfo=UTC)
    rates = PriceList(model["pricing"], {}).rates(prompt_tokens=prompt, at=at.timestamp(), tier=None)
    billed = cost_of(
        rates,
        Quantities(
            prompt=prompt,
            completion=completion,
            reasoning=reasoning,
            cached=cached,
            written=written,
            long_lived=long_lived,
            audio=audio,
            images=images,
            images_out=made,
            searches=searches,
        ),
    ).total
    ours = rate(
        TokenUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            reasoning_tokens=reasoning,
            cached_tokens=cached,
            cache_write_tokens=written,
            cache_write_1h_tokens=written if long_lived else 0,
            audio_tokens=audio,
            images=images,
            output_images=made,
            searches=searches,
        ),
        PriceCard.from_openrouter(model["pricing"]),
        at,
    )
    assert ours.cost == billed
