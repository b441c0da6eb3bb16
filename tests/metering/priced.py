"""Hypothesis strategies for price lists, usage and markup components."""

from decimal import Decimal

from hypothesis import strategies as st

from metering.prices import PRICE_KEYS, PriceCard
from metering.rating import TokenUsage

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
prices = st.decimals(min_value=0, max_value="0.01", places=12).map(lambda price: format(price, "f"))
_optional = [key for key in PRICE_KEYS if key not in ("prompt", "completion")]
_clock = st.builds(lambda hours, minutes: hours * 100 + minutes, st.integers(0, 23), st.integers(0, 59))


def overrides():
    keys = ["prompt", "completion", "input_cache_read", "input_cache_write", "input_cache_write_1h", "audio"]
    conditions = st.fixed_dictionaries(
        {},
        optional={
            "min_prompt_tokens": st.integers(0, 50_000),
            "utc_start": _clock,
            "utc_end": _clock,
            "utc_days": st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
        },
    )
    return st.builds(
        lambda when, what: {**when, **what},
        conditions,
        st.dictionaries(st.sampled_from(keys), prices, max_size=4),
    )


def cards():
    return st.builds(
        lambda base, rest, extra, discount: PriceCard.from_openrouter(
            {**base, **rest, "overrides": extra, "discount": discount}
        ),
        st.fixed_dictionaries({"prompt": prices, "completion": prices}),
        st.dictionaries(st.sampled_from(_optional), prices),
        st.lists(overrides(), max_size=3),
        st.decimals(min_value=0, max_value=1, places=2),
    )


def usages(most: int = 100_000):
    """Usage with every class; parts larger than their totals included, since providers send them."""
    count = st.integers(0, most)
    few = st.integers(0, 5)
    return st.builds(
        TokenUsage,
        prompt_tokens=count,
        completion_tokens=count,
        cached_tokens=count,
        cache_write_tokens=count,
        cache_write_1h_tokens=count,
        cached_audio_tokens=count,
        audio_tokens=count,
        image_tokens=count,
        reasoning_tokens=count,
        audio_output_tokens=count,
        images=few,
        output_images=few,
        searches=few,
        characters=count,
        requests=st.integers(1, 3),
        seconds=st.decimals(min_value=0, max_value=10_000, places=3),
    )


def components():
    applies = st.sampled_from(["paid", "free", "all"])
    amount = st.decimals(min_value=0, max_value=1, places=6).map(str)
    return st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {
                    "type": st.just("percentage"),
                    "percent": st.decimals(min_value=0, max_value=100, places=2).map(str),
                    "applies_to": applies,
                }
            ),
            st.fixed_dictionaries(
                {"type": st.sampled_from(["per_1k_tokens", "per_request"]), "amount": amount, "applies_to": applies}
            ),
        ),
        max_size=4,
    )


__all__ = ["DAYS", "Decimal", "cards", "components", "overrides", "prices", "usages"]
