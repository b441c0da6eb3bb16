"""Counting is exact where we hold the vocabulary, and the prompt's bound is never below any count."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import UnpriceableCall
from metering.prompt_size import COUNT_FROM_BYTES, PREAMBLE, TOOLS_PREAMBLE, prompt_upper_bound
from metering.tokens import UNKNOWN, Family, count_tokens, family_of
from tests.metering.texts import TEXTS

EVERY_VOCABULARY = [
    "gpt-oss",
    "o200k_base",
    "cl100k_base",
    "llama3",
    "qwen3",
    "deepseek_v3",
    "glm4",
    "kimi_k2",
    "kimi_k3",
    "mistral_v3",
    "gemma4",
    "phi4",
]


@pytest.mark.parametrize("column", [1, 2], ids=["o200k_base", "cl100k_base"])
def test_counts_agree_with_other_implementations(column):
    family = Family(["o200k_base", "cl100k_base"][column - 1], is_exact=True)
    assert [count_tokens(family, row[0]) for row in TEXTS] == [row[column] for row in TEXTS]


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("openai/gpt-4o-mini", "o200k_base"),
        ("openai/gpt-5.2", "o200k_base"),
        ("openai/o3-pro", "o200k_base"),
        ("openai/gpt-4-turbo", "cl100k_base"),
        ("openai/gpt-3.5-turbo", "cl100k_base"),
        ("openai/text-embedding-3-small", "cl100k_base"),
        ("openai/gpt-oss-120b:free", "gpt-oss"),
        ("meta-llama/llama-3.3-70b-instruct", "llama3"),
        ("qwen/qwen-2.5-72b-instruct", "qwen3"),
        ("qwen/qwen3-coder", "qwen3"),
        ("deepseek/deepseek-chat-v3.1", "deepseek_v3"),
        ("deepseek/deepseek-r1-0528", "deepseek_v3"),
        ("deepseek/deepseek-r1-distill-llama-70b", "llama3"),
        ("deepseek/deepseek-r1-distill-qwen-14b", "qwen3"),
        ("z-ai/glm-4.5-air", "glm4"),
        ("moonshotai/kimi-k2-thinking", "kimi_k2"),
        ("moonshotai/kimi-k3", "kimi_k3"),
        ("mistralai/mistral-nemo", "mistral_v3"),
        ("google/gemma-4-31b-it", "gemma4"),
        ("microsoft/phi-4", "phi4"),
    ],
)
def test_models_with_a_published_vocabulary(model, vocabulary):
    assert family_of(model) == Family(vocabulary, is_exact=True)


@pytest.mark.parametrize(
    "model",
    [
        "anthropic/claude-opus-5.5",
        "openai/gpt-6-sol",
        "qwen/qwen3.5-27b",
        "meta-llama/llama-4-scout",
        "deepseek/deepseek-v4-pro",
        "z-ai/glm-5",
        "moonshotai/kimi-k3.1-pro",
        "microsoft/phi-4-mini-instruct",
        "x-ai/grok-4.7",
        "vendor/never-heard-of",
        "",
    ],
)
def test_a_new_generation_is_unknown_and_counts_with_a_margin(model):
    assert family_of(model) == UNKNOWN
    assert count_tokens(UNKNOWN, "hello world") == 3  # 2 * 1.15, rounded up


def test_gemini_counts_with_its_nearest_relative():
    assert family_of("google/gemini-3.5-flash") == Family("gemma4", is_exact=False, percent=115)


def test_marks_in_a_text_are_counted_as_text():
    assert count_tokens(family_of("openai/gpt-4o"), "<|endoftext|>") == 7


def test_half_a_surrogate_pair_is_counted_and_does_not_break():
    assert count_tokens(family_of("openai/gpt-4o"), "a\ud800b") > 0


# ------------------------------------------------------------------ the bound


def request(*texts: str, **more) -> tuple[dict, int]:
    body = {"model": "m", "messages": [{"role": "user", "content": text} for text in texts], **more}
    return body, len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("vocabulary", EVERY_VOCABULARY)
def test_no_text_has_more_tokens_than_bytes(vocabulary):
    family = Family(vocabulary, is_exact=True)
    for text, *_ in TEXTS:
        assert count_tokens(family, text) <= len(text.encode())


@given(text=st.text(max_size=300))
def test_random_characters_have_no_more_tokens_than_bytes_in_any_vocabulary(text):
    size = len(text.encode("utf-8", "surrogatepass"))
    assert max(count_tokens(Family(name, True), text) for name in EVERY_VOCABULARY) <= size


@pytest.mark.parametrize("model", ["openai/gpt-4o", "openai/gpt-4", "qwen/qwen3-32b", "anthropic/claude-opus-5.5"])
def test_the_bound_of_a_long_conversation_is_above_any_count_and_near_it_where_it_was_counted(model):
    texts = [text for text, *_ in TEXTS if text] * 8
    body, size = request(*texts)
    bound = prompt_upper_bound(body, size, models=[model])
    counts = [sum(count_tokens(Family(name, True), text) for text in texts) for name in EVERY_VOCABULARY]
    count = sum(count_tokens(family_of(model), text) for text in texts) if bound.basis == "count" else max(counts)
    assert bound.tokens >= count + 8 * len(texts)  # and what the chat template adds to each message
    assert bound.basis == ("bytes" if model.startswith("anthropic") else "count")


def test_a_long_english_prompt_of_a_known_vocabulary_is_bounded_far_below_its_bytes():
    body, size = request("Prepaid credits, usage metering and cost control. " * 400)
    counted = prompt_upper_bound(body, size, models=["openai/gpt-4o"])
    assert counted.tokens < size / 3
    assert prompt_upper_bound(body, size, models=["openai/gpt-4o", "x-ai/grok-4.7"]).tokens == size + PREAMBLE


def test_a_prompt_that_packs_unusually_well_is_bounded_by_a_quarter_of_its_bytes():
    body, size = request(" " * 40_000)
    assert prompt_upper_bound(body, size, models=["openai/gpt-4o"]).tokens > 10_000


def test_a_short_prompt_is_its_size_and_the_preambles():
    body, size = request("Hi")
    assert size < COUNT_FROM_BYTES
    assert prompt_upper_bound(body, size, models=["openai/gpt-4o"]).tokens == size + PREAMBLE
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    body, size = request("Hi", tools=[tool])
    assert prompt_upper_bound(body, size).tokens == size + PREAMBLE + TOOLS_PREAMBLE


def picture(url: str) -> dict:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_picture_counts_as_what_the_model_makes_of_it_and_not_as_its_base64():
    data = "data:image/png;base64," + "A" * 1_000_000
    body, size = request("What is this?")
    body["messages"][0]["content"] = [
        {"type": "text", "text": "What is this?"},
        picture(data),
        picture("https://x/y.png"),
    ]
    size = len(json.dumps(body).encode())
    bound = prompt_upper_bound(body, size, models=["anthropic/claude-opus-5.5"])
    assert (bound.images, bound.image_tokens) == (2, 9_600)
    assert bound.tokens == size - len(data) + PREAMBLE + 9_600
    mixed = prompt_upper_bound(body, size, models=["anthropic/claude-opus-5.5", "vendor/unknown"])
    assert mixed.image_tokens == 2 * 16_400


def test_sound_counts_by_its_length_at_the_lowest_bit_rate():
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 320_000, "format": "mp3"}}
    body = {"messages": [{"role": "user", "content": [sound]}]}
    bound = prompt_upper_bound(body, len(json.dumps(body)))
    assert bound.audio_tokens == 10_001
    sound["input_audio"]["format"] = "wav"
    assert prompt_upper_bound(body, len(json.dumps(body))).audio_tokens == 1_251


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "https://example.com/film.mp4"}},
        {"type": "file", "file": {"file_data": "https://example.com/book.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "https://example.com/talk.mp3", "format": "mp3"}},
    ],
)
def test_what_has_no_size_counts_as_the_whole_context_or_is_refused(part):
    body = {"messages": [{"role": "user", "content": [part]}]}
    bound = prompt_upper_bound(body, 200, context_length=128_000)
    assert (bound.tokens, bound.basis) == (128_000, "context")
    with pytest.raises(UnpriceableCall):
        prompt_upper_bound(body, 200)


def test_nothing_exceeds_the_context():
    body, size = request("x" * 500_000)
    assert prompt_upper_bound(body, size, context_length=200_000).tokens == 200_000


def test_token_ids_in_place_of_text_are_bounded():
    body = {"input": [[1, 2, 3]] * 1000}
    assert prompt_upper_bound(body, len(json.dumps(body, separators=(",", ":")))).tokens >= 3000
