"""The hold is a bound: whatever the provider may bill within the request's limits, the hold covers it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.bounds import CallFacts, output_cap, parse_max_price, upper_bound
from metering.errors import InvalidPrice, UnpriceableCall
from metering.rating import PriceCard, TokenUsage, apply_markup, rate, total
from tests.metering.priced import cards, components, prices

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAIN = {"prompt": "0.000003", "completion": "0.000015"}
STARTER = [{"type": "percentage", "percent": "10", "applies_to": "paid"}]
FREE_TIER = [{"type": "per_1k_tokens", "amount": "0.001", "applies_to": "free"}]


def card(**pricing) -> PriceCard:
    return PriceCard.from_openrouter({**PLAIN, **pricing})


def bound(facts: CallFacts, *price_lists: PriceCard, parts=(), at=NOON, **options) -> Decimal:
    return upper_bound(facts, price_lists or [card()], parts, at, **options).amount


CALL = CallFacts(prompt_tokens=1000, completion_tokens=200, cache_write_1h=False)


def test_prompt_output_and_markup():
    # 1000 * 3 + 200 * 15 = 6,000 per million; + 10 %
    assert bound(CALL) == Decimal("0.006")
    assert bound(CALL, parts=STARTER) == Decimal("0.0066")


def test_every_prompt_token_may_be_written_to_a_cache():
    written = card(input_cache_read="0.0000003", input_cache_write="0.00000375", input_cache_write_1h="0.000006")
    assert bound(CALL, written) == Decimal("0.00675")
    hour = CallFacts(prompt_tokens=1000, completion_tokens=200, cache_write_1h=True)
    assert bound(hour, written) == Decimal("0.009")


def test_a_dearer_reasoning_price_bounds_the_output():
    assert bound(CALL, card(internal_reasoning="0.00002")) == Decimal("0.007")


def test_the_dearest_fallback_counts():
    cheap, dear = card(), card(completion="0.00006")
    assert bound(CALL, cheap, dear) == bound(CALL, dear, cheap) == Decimal("0.015")


def test_long_context_prices_count_only_when_the_prompt_may_reach_them():
    long = card(overrides=[{"min_prompt_tokens": 1000, "prompt": "0.000006", "completion": "0.0000225"}])
    assert bound(CALL, long) == Decimal("0.006")
    longer = CallFacts(prompt_tokens=1001, completion_tokens=200, cache_write_1h=False)
    assert bound(longer, long) == Decimal("0.010506")


def test_a_price_by_the_clock_counts_from_an_hour_before_it_begins():
    peak = card(overrides=[{"utc_start": 1400, "utc_end": 1500, "prompt": "0.00003"}])
    assert bound(CALL, peak, at=NOON) == Decimal("0.006")
    assert bound(CALL, peak, at=NOON + timedelta(minutes=59)) == Decimal("0.006")
    assert bound(CALL, peak, at=NOON + timedelta(hours=1)) == Decimal("0.033")
    assert bound(CALL, peak, at=NOON + timedelta(hours=2, minutes=59)) == Decimal("0.033")
    assert bound(CALL, peak, at=NOON + timedelta(hours=3)) == Decimal("0.006")


def test_a_cheaper_hour_or_discount_never_lowers_the_bound():
    cheap_now = card(overrides=[{"prompt": "0.000001"}], discount=Decimal("0.5"))
    assert bound(CALL, cheap_now) == Decimal("0.006")


def test_fees_pictures_and_searches():
    everything = card(request="0.005", image="0.001", image_output="0.04", web_search="0.01")
    facts = CallFacts(
        prompt_tokens=1000, completion_tokens=200, images=2, output_images=1, searches=3, fees=Decimal("0.002")
    )
    # 0.006 + 0.005 + 0.002 + 0.04 + 0.03 + 0.002
    assert bound(facts, everything) == Decimal("0.085")
    silent = CallFacts(prompt_tokens=1000, completion_tokens=200, output_images=None)
    assert bound(silent, everything) == Decimal("0.171")  # 0.006 + 0.005 + 4 pictures


def test_spoken_and_pictured_tokens_cost_the_dearer_of_their_price_and_the_texts():
    spoken = card(audio="0.00004", image_token="0.000001")
    facts = CallFacts(prompt_tokens=1000, completion_tokens=0, audio_tokens=100, image_tokens=500)
    assert bound(facts, spoken) == Decimal("0.0067")  # 900 * 3 + 100 * 40


def test_characters_and_seconds():
    assert bound(CallFacts(characters=1000), card(prompt="0.000015")) == Decimal("0.015")
    assert bound(CallFacts(seconds=Decimal("2.5")), card(second="0.01")) == Decimal("0.025")
    with pytest.raises(UnpriceableCall):
        bound(CallFacts(seconds=Decimal("2.5")), card())


def test_several_answers_are_all_reserved():
    facts = CallFacts(prompt_tokens=1000, completion_tokens=200, answers=3)
    assert bound(facts) == Decimal("0.012")


def test_prompt_and_answer_share_one_context():
    facts = CallFacts(prompt_tokens=9000, completion_tokens=2000, context_length=10_000)
    # the answer is dearer and takes its 2,000 first: 8,000 * 3 + 2,000 * 15
    assert bound(facts) == Decimal("0.054")
    # with input dearer than output it is the other way: 9,000 * 20 + 1,000 * 15
    assert bound(facts, card(prompt="0.00002")) == Decimal("0.195")


def test_dearer_spoken_tokens_are_not_pushed_out_of_the_context_by_the_answer():
    spoken = card(audio="0.00004")
    facts = CallFacts(prompt_tokens=9000, completion_tokens=2000, audio_tokens=9000, context_length=10_000)
    usage = TokenUsage(prompt_tokens=9000, audio_tokens=9000, completion_tokens=1000)
    assert bound(facts, spoken) >= rate(usage, spoken, NOON).cost == Decimal("0.375")


def test_the_service_tier_asked_for_counts_when_it_is_dearer():
    asked = CallFacts(prompt_tokens=1000, completion_tokens=200, service_tier="priority")
    assert bound(asked) == Decimal("0.012")
    assert bound(CallFacts(prompt_tokens=1000, completion_tokens=200, service_tier="flex")) == Decimal("0.006")


def test_a_free_model_holds_the_fee_of_the_free_tier():
    free = card(prompt="0", completion="0")
    assert bound(CALL, free, parts=FREE_TIER) == Decimal("0.0012")
    assert bound(CALL, free) == 0


def test_the_customers_own_key_reserves_nothing():
    assert bound(CALL, parts=STARTER, is_byok=True) == 0


def test_the_bound_is_rounded_up():
    tiny = card(prompt="0.0000000000001", completion="0")
    assert bound(CallFacts(prompt_tokens=1), tiny) == Decimal("1e-12")


def test_what_a_price_list_remembers_of_one_request_never_stands_in_for_another():
    listed = {"input_cache_write_1h": "0.00001", "audio_output": "0.0001"}
    kept = card(**listed)
    requests = [
        CallFacts(prompt_tokens=100, completion_tokens=100, cache_write_1h=hours, audio_output=spoken, max_price=limits)
        for limits in (None, {"prompt": Decimal(1)})
        for hours in (True, False)
        for spoken in (True, False)
    ]
    factors = (Decimal(1), Decimal(2))
    for facts in [*requests, *reversed(requests)]:
        for headroom in factors:
            known, anew = (upper_bound(facts, [each], (), NOON, headroom=headroom) for each in (kept, card(**listed)))
            assert known == anew
    assert len({bound(facts, kept) for facts in requests}) == 4
    upper_bound(requests[0], [kept], (), NOON).max_price.clear()
    assert upper_bound(requests[0], [kept], (), NOON) == upper_bound(requests[0], [card(**listed)], (), NOON)
    assert kept == card(**listed)


def test_headroom_multiplies_the_listed_prices():
    assert bound(CALL, headroom=Decimal("1.5")) == Decimal("0.009")


# ------------------------------------------------------------------ no bound, no call


def test_no_price_list_no_call():
    with pytest.raises(UnpriceableCall):
        upper_bound(CALL, [], STARTER, NOON)


def test_one_unpriceable_fallback_refuses_the_call():
    with pytest.raises(UnpriceableCall):
        bound(CALL, card(), card(prompt="-1", completion="-1"))


def test_a_search_without_a_price_refuses_the_call_unless_the_operator_knows_one():
    with pytest.raises(UnpriceableCall):
        bound(CallFacts(searches=1))
    assert bound(CallFacts(searches=2, search_price=Decimal("0.02"))) == Decimal("0.04")


@pytest.mark.parametrize("limits", [{}, {"prompt": "1"}, {"completion": "1"}, {"prompt": "-1", "completion": "1"}])
def test_a_route_dependent_price_needs_an_explicit_limit_for_both_sides(limits):
    with pytest.raises((UnpriceableCall, InvalidPrice)):
        facts = CallFacts(prompt_tokens=1000, completion_tokens=200, max_price=parse_max_price(limits))
        bound(facts, card(prompt="-1", completion="-1"))


def test_the_requests_own_limit_stands_in_for_a_route_dependent_price():
    limits = parse_max_price({"prompt": 2, "completion": 8.5, "request": "0.01"})
    facts = CallFacts(prompt_tokens=1000, completion_tokens=200, max_price=limits)
    result = upper_bound(facts, [card(prompt="-1", completion="-1", request="-1")], [], NOON)
    # input may be written to a cache at up to twice its price: 1000 * 4 + 200 * 8.5 per million, + 0.01
    assert result.amount == Decimal("0.0157")
    assert result.max_price == {
        "prompt": Decimal(2),
        "completion": Decimal("8.5"),
        "request": Decimal("0.01"),
        "image": Decimal(0),
    }


def test_the_limits_sent_upstream_admit_what_was_reserved_and_no_more():
    cheap = card(request="0.001")
    dear = card(prompt="0.000005", overrides=[{"min_prompt_tokens": 10, "completion": "0.00002"}])
    asked = {"completion": Decimal(12), "audio": Decimal(1)}
    facts = CallFacts(prompt_tokens=1000, completion_tokens=200, max_price=asked)
    assert upper_bound(facts, [cheap, dear], [], NOON).max_price == {
        "prompt": Decimal(5),
        "completion": Decimal(12),  # the request asks for less than the 20 that the list says
        "request": Decimal("0.001"),
        "image": Decimal(0),
        "audio": Decimal(1),
    }


@pytest.mark.parametrize("bad", [[], "1", {"prompt": "x"}, {"prompt": -1}, {"prompt": "NaN"}, {"prompt": {}}])
def test_a_limit_that_is_no_number_is_refused(bad):
    with pytest.raises(InvalidPrice):
        parse_max_price(bad)


@pytest.mark.parametrize(
    ("asked", "model_max", "context", "prompt", "expected"),
    [
        (None, None, None, 0, 4096),
        (None, 1000, None, 0, 1000),
        (500, 1000, None, 0, 500),
        (9999, 1000, None, 0, 1000),
        (500, None, 1000, 800, 200),
        (500, None, 1000, 2000, 1),
    ],
)
def test_output_cap(asked, model_max, context, prompt, expected):
    cap = output_cap(asked=asked, default=4096, model_max=model_max, context_length=context, prompt_tokens=prompt)
    assert cap == expected


# ------------------------------------------------------------------ the property that matters


@st.composite
def calls(draw):
    """Limits of a request, and usage within them."""

    def some(most: int) -> int:
        return draw(st.integers(0, most))

    audio, image, text = some(5000), some(5000), some(50_000)
    answers, spoken = draw(st.integers(1, 3)), draw(st.booleans())
    room = draw(st.one_of(st.none(), st.integers(1, 80_000)))
    facts = CallFacts(
        prompt_tokens=audio + image + text,
        completion_tokens=some(20_000),
        answers=answers,
        audio_tokens=audio,
        image_tokens=image,
        images=some(3),
        output_images=some(3),
        audio_output=spoken,
        searches=some(3),
        characters=some(5000),
        seconds=draw(st.decimals(min_value=0, max_value=100, places=2)),
        search_price=Decimal("0.02"),
        cache_write_1h=draw(st.booleans()),
        context_length=room,
        service_tier=draw(st.sampled_from([None, "flex", "priority"])),
    )
    prompt = some(facts.prompt_tokens if room is None else min(facts.prompt_tokens, room))
    each = facts.completion_tokens if room is None else min(facts.completion_tokens, room - prompt)
    completion = sum(some(each) for _ in range(answers))
    usage = TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=some(prompt),
        cache_write_tokens=some(prompt),
        cache_write_1h_tokens=some(prompt) if facts.cache_write_1h else 0,
        audio_tokens=some(facts.audio_tokens),
        cached_audio_tokens=0,
        image_tokens=some(facts.image_tokens),
        reasoning_tokens=some(completion),
        audio_output_tokens=some(completion) if spoken else 0,
        images=some(facts.images),
        output_images=some(facts.output_images or 0),
        searches=some(facts.searches),
        characters=some(facts.characters),
        seconds=draw(st.decimals(min_value=0, max_value=facts.seconds, places=2)),
    )
    served = draw(st.sampled_from([None, facts.service_tier]))
    return facts, usage, served


@settings(max_examples=300, deadline=None)
@given(
    call=calls(),
    price_lists=st.lists(cards(), min_size=1, max_size=3),
    second=prices,
    parts=components(),
    data=st.data(),
)
def test_no_usage_within_the_limits_is_charged_more_than_the_bound(call, price_lists, second, parts, data):
    facts, usage, served_tier = call
    price_lists = [PriceCard.from_json({**each.to_json(), "second": second}) for each in price_lists]
    start = NOON + timedelta(minutes=data.draw(st.integers(0, 7 * 24 * 60)))
    reserved = upper_bound(facts, price_lists, parts, start)
    serving = data.draw(st.sampled_from(price_lists))
    billed_at = start + timedelta(minutes=data.draw(st.integers(0, 60)))
    rated = rate(usage, serving, billed_at, served_tier)
    is_free = data.draw(st.booleans()) if not rated.cost else False
    charge = apply_markup(rated.cost, usage.tokens, 1, parts, is_free=is_free, is_byok=False)
    assert charge.charge <= reserved.amount
    assert reserved.cost == total(reserved.lines)
