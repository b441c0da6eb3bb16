"""How codes are written, compared and drawn."""

import re

import pytest

from coupons.codes import ALPHABET, PATTERN, canonical_code, canonical_prefix, random_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WELCOME10", "WELCOME10"),
        ("welcome10", "WELCOME10"),
        (" \tWelcome10\r\n", "WELCOME10"),
        ("acme-2026_q1", "ACME-2026_Q1"),
        ("A" * 40, "A" * 40),
        ("123", "123"),
    ],
)
def test_letters_are_compared_without_regard_to_case_and_outer_blanks(text, code):
    assert canonical_code(text) == code
    assert re.search(PATTERN, code)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "  ",
            "AB",
            "A" * 41,
            "-ABC",
            "_ABC",
            "WEL COME",
            "A\x00BC",
            "ABC\n.",
            "ABC;--",
            "A'B\"C",
            "%41BC",
            "../ABC",
        ),
        *("WELCOME1０", "ＷELCOME", "welcomeı", "WELCOME\u200b", "\u00a0ABC", "СОUPON", "🎁🎁🎁", "ſale", "straße"),
        "A" * 100_000,
    ],
)
def test_what_cannot_be_a_code_is_none(text):
    assert canonical_code(text) is None


def test_a_prefix_may_be_short_but_leaves_room_for_what_is_drawn():
    assert canonical_prefix("a") == "A"
    assert canonical_prefix("x" * 20) == "X" * 20
    assert canonical_prefix("x" * 21) is None
    assert canonical_code(random_code("X" * 20)) is not None


def test_drawn_codes_are_codes_without_vowels_or_twins_and_differ():
    drawn = {random_code() for _ in range(2_000)}
    assert len(drawn) == 2_000
    assert all(canonical_code(code) == code and len(code) == 10 for code in drawn)
    assert not set("AEIOU01L") & set(ALPHABET)
    assert random_code("ACME-").startswith("ACME-") and random_code("ACME")[4] == "-"
