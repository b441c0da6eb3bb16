"""Money crosses the wire exactly, in one spelling."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils.translation import gettext_lazy

from core.jsonio import dumps, loads, wire_form


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1.500000000000", "1.5"), ("0E-12", "0"), ("-0.00", "0"), ("1E+3", "1000"), ("0.000000000001", "0.000000000001")],
)
def test_an_amount_has_one_spelling(amount, text):
    assert wire_form(Decimal(amount)) == text


def test_everything_else_becomes_what_json_has():
    value = {
        "id": UUID(int=1),
        1: datetime(2026, 3, 2, 12, tzinfo=UTC),
        "deep": [(Decimal("1.0"), None, True, 3)],
        "words": gettext_lazy("text"),
    }
    assert wire_form(value) == {
        "id": "00000000-0000-0000-0000-000000000001",
        "1": "2026-03-02T12:00:00Z",
        "deep": [["1", None, True, 3]],
        "words": "text",
    }
    assert loads(dumps(wire_form(value))) == wire_form(value)


@pytest.mark.parametrize(
    "text", ['"\\ud800"', '{"\\uDFFF": 1}', b'"\xed\xa0\x80"', "1e401", "-1e-999999999", "0e99999999999999999999"]
)
def test_what_can_be_neither_stored_nor_answered_is_no_json(text):
    with pytest.raises(ValueError, match=r"range|surrogate|utf-8"):
        loads(text)
    assert loads('"\\ud83d\\ude00"') == "😀"


def test_numbers_are_read_exactly():
    assert loads('{"a": 0.1, "b": 1e-12, "c": 3}') == {"a": Decimal("0.1"), "b": Decimal("1E-12"), "c": 3}


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="not a JSON number"):
        loads(text)
