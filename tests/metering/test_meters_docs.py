"""The examples and figures of docs/meters.md are what the code says."""

import json
import re
import shlex
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from metering.metered.terms import checked_metered_prices
from metering.meters.grammar import FUNCTIONS, OPERATORS
from metering.meters.properties import known_columns
from metering.price_models import checked_price, price_of
from metering.services import create_meter
from tests.builders import NOON
from tests.metering.reporting import Reporter, make_reporter

pytestmark = pytest.mark.django_db
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "meters.md").read_text()
EVERYTHING = {"filter": {"conjunction": "and", "clauses": []}, "aggregation": {"func": "count"}}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_every_example_is_answered_as_the_page_says():
    client, meter, answers = Reporter(make_reporter("1")).client, "", []
    for block in blocks("sh"):
        words = shlex.split(block.replace("\\\n", " "))
        options = {words[at]: words[at + 1] for at in range(len(words) - 1) if words[at] in ("-X", "-d")}
        [url] = [word for word in words if word.startswith("$FAREBOX_URL")]
        parts = urlsplit(url.removeprefix("$FAREBOX_URL").replace("METER", meter))
        body = options.get("-d", "").encode()
        path = f"{parts.path}?{parts.query}"
        response = client.generic(options.get("-X", "GET"), path, body, content_type="application/json")
        answers.append((response.status_code, response.json()))
        meter = answers[-1][1].get("id", meter)
    assert [status for status, _ in answers] == [200, 201, 200]
    assert answers[-1][1] == json.loads(blocks("json")[0])


def test_every_price_of_the_table_costs_what_it_says():
    rows = re.findall(r"^\| `(\{.*?\})` \| (\d+) \| ([\d.]+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 6
    for price, quantity, amount in rows:
        assert price_of(Decimal(quantity), checked_price(json.loads(price))) == Decimal(amount)


def test_the_prices_of_the_page_are_a_tiers():
    for name in ("API calls", "Storage"):
        create_meter(organization_id=None, name=name, at=NOON, **EVERYTHING)
    assert [one["name"] for one in checked_metered_prices(json.loads(blocks("json")[1]))] == ["API calls", "Storage"]


def test_every_word_of_the_grammar_is_on_the_page():
    said = set(re.findall(r"`([a-z_.]+)`", TEXT))
    assert {*OPERATORS, *FUNCTIONS} <= said
    assert {name for name in said if name.startswith("event.") and "tags" not in name} <= set(known_columns())
