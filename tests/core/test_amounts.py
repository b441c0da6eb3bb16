from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from rest_framework.exceptions import ValidationError as RefusedField

from core import serializers
from core.amounts import full, is_exact, readable, signed, split
from core.forms import PlainDecimalField
from core.money import InvalidAmount, parse_money, to_wire


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("12", "$12.00"),
        ("1234567.891", "$1,234,567.89"),
        ("0.5", "$0.50"),
        ("0.0132", "$0.0132"),
        ("0.013249", "$0.0132"),
        ("0.99996", "$1.00"),
        ("0.00999999", "$0.01"),
        ("0.0000123456", "$0.0000123"),
        ("0.000000000001", "$0.000000000001"),
        ("-0.0132", "−$0.0132"),
        ("-1234.5", "−$1,234.50"),
    ],
)
def test_an_amount_is_readable_at_every_size(amount, text):
    assert readable(Decimal(amount)) == text


@pytest.mark.parametrize(
    "text", ["1_000", "１２", "٣", "1e999999999", "1e-999999999", "1e99999999999999999999", "", "0x1", " 1", "1\n"]
)
def test_an_amount_is_written_in_plain_digits_and_fits(text):
    with pytest.raises(InvalidAmount):
        parse_money(text)
    assert (to_wire(parse_money("+1.5e2")), to_wire(parse_money("0e-999999999"))) == ("150", "0")


def test_forms_and_serializers_read_numbers_as_amounts_are_read():
    form, wire = PlainDecimalField(), serializers.PlainDecimalField(max_digits=6, decimal_places=2)
    for odd in ("1_0", "１２", "1 0", "NaN", "Infinity", "1e99999999999999999999"):
        with pytest.raises(ValidationError):
            form.clean(odd)
        with pytest.raises(RefusedField):
            wire.run_validation(odd)
    with pytest.raises(RefusedField):
        wire.run_validation(" 1")
    assert (form.clean(" +1.5e2 "), wire.run_validation("+1.5"), wire.run_validation(2)) == (150, Decimal("1.5"), 2)
    assert PlainDecimalField(required=False).clean("  ") is None


def test_the_full_amount_keeps_every_stored_digit():
    assert full(Decimal("0.013200000001")) == "$0.013200000001"
    assert full(Decimal("10.000000000000")) == "$10.00"
    assert full(Decimal("-1.230000000000")) == "−$1.23"


def test_an_amount_is_exact_only_when_nothing_is_left_out():
    assert is_exact(Decimal("0.0132"))
    assert is_exact(Decimal("10.00"))
    assert not is_exact(Decimal("0.01324"))
    assert not is_exact(Decimal("1.001"))


def test_an_amount_that_rounds_to_nothing_has_no_sign():
    assert readable(Decimal("-0")) == "$0.00"


def test_added_credit_carries_a_plus():
    assert signed(Decimal(5)) == "+$5.00"
    assert signed(Decimal(-5)) == "−$5.00"


def test_a_split_balance_is_cut_and_never_rounded_up():
    assert split(Decimal("42.1832149")) == ("$42.18", "3214")
    assert split(Decimal("0.9999999")) == ("$0.99", "9999")
    assert split(Decimal("-3.5")) == ("−$3.50", "0000")
