"""Every figure of docs/rating.md is computed here from the page itself."""

import doctest
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import astuple

from core.money import to_wire
from metering.bounds import CallFacts, upper_bound
from metering.derivation import derive, recompute
from metering.rating import Line, PriceCard, TokenUsage, apply_markup, rate
from tests.metering.token_accuracy import STAND_INS, row

PAGE = (Path(__file__).parents[2] / "docs" / "rating.md").read_text()
EXAMPLES = "\n".join(re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL))


def show(lines: tuple[Line, ...]) -> None:
    for name, quantity, unit, amount in map(astuple, lines):
        print(f"{name:<19} {to_wire(Decimal(quantity))} * {to_wire(unit)} = {to_wire(amount)}")


def test_the_worked_figures_are_what_the_code_computes():
    names = {
        "CallFacts": CallFacts,
        "Decimal": Decimal,
        "NOON": datetime(2026, 3, 2, 12, tzinfo=UTC),
        "PriceCard": PriceCard,
        "TokenUsage": TokenUsage,
        "apply_markup": apply_markup,
        "derive": derive,
        "rate": rate,
        "recompute": recompute,
        "show": show,
        "to_wire": to_wire,
        "upper_bound": upper_bound,
    }
    test = doctest.DocTestParser().get_doctest(EXAMPLES, names, "rating.md", None, 0)
    assert len(test.examples) > 20
    results: list[str] = []
    doctest.DocTestRunner().run(test, out=results.append)
    assert not results, "".join(results)


STATED = [line for line in PAGE.splitlines() if line.startswith("|") and line.split("|")[1].strip() in STAND_INS]


@pytest.mark.parametrize("line", STATED)
def test_the_stated_accuracy_is_the_measured_one(line):
    _, stand_in, vocabulary, *_ = (cell.strip() for cell in line.split("|"))
    assert row(stand_in, vocabulary) == line


def test_the_page_states_an_accuracy():
    assert len(STATED) == 10
