"""The examples of the API document fit their schemas, and their figures belong together."""

import csv
import io
import json
from decimal import Decimal
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from coupons.exports import COLUMNS as COUPON_COLUMNS
from credits.statements.documents import CSV_COLUMNS as STATEMENT_COLUMNS
from credits.viewsets import CSV_COLUMNS as ENTRY_COLUMNS
from tests.api.routes import METHODS, document

EXAMPLES = [
    (f"{method} {path}", ("paths", path, method, *within, "content", kind, "schema"), kind, name, example["value"])
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
    if method.upper() in METHODS
    for within, body in [
        (("requestBody",), operation.get("requestBody", {})),
        *((("responses", status), answer) for status, answer in operation["responses"].items()),
    ]
    for kind, media in body.get("content", {}).items()
    for name, example in media.get("examples", {}).items()
]
OPERATIONS = sorted({each[0] for each in EXAMPLES})
# The document once, for all validators: a schema is named by its place.
ADDRESS = "urn:api"
DOCUMENTS = Registry().with_resource(ADDRESS, DRAFT202012.create_resource(document())).crawl()


def test_every_body_has_an_example():
    without = [
        (method, path, which, kind)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if method.upper() in METHODS
        for which, body in [("request", operation.get("requestBody", {})), *operation["responses"].items()]
        for kind, media in body.get("content", {}).items()
        if not media.get("examples") and "example" not in media
    ]
    assert without == [], "add samples to config/openapi/samples.py"


def schema_at(place):
    pointer = "/".join(str(name).replace("~", "~0").replace("/", "~1") for name in place)
    return {"$ref": f"{ADDRESS}#/{quote(pointer, safe='/~')}"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_examples_fit_their_schemas_and_their_figures_belong_together(operation):
    found = []
    for _, place, kind, name, value in (each for each in EXAMPLES if each[0] == operation):
        validator = Draft202012Validator(schema_at(place), registry=DOCUMENTS)
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        errors += list(contradictions(value)) if kind.endswith("json") else []
        found += [(place[3:5], kind, name, error) for error in errors]
    assert found == []


def contradictions(value, place="$"):
    """What cannot be true together in one object, wherever it is."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from contradictions(item, f"{place}[{number}]")
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        yield from contradictions(item, f"{place}.{name}")
    for rule, names in RULES:
        if all(value.get(name) is not None for name in names) and not rule(*(value[name] for name in names)):
            yield place, {name: value[name] for name in names}


def usd(text) -> Decimal:
    return Decimal(str(text))


RULES = [
    (lambda balance, held, available: usd(balance) - usd(held) == usd(available), ("balance", "held", "available")),
    (lambda cost, markup, charge: usd(cost) + usd(markup) == usd(charge), ("provider_cost", "markup", "charge")),
    (lambda cost, markup, charge: usd(cost) + usd(markup) == usd(charge), ("cost", "markup", "charge")),
    (lambda a, b, total: a + b == total, ("prompt_tokens", "completion_tokens", "total_tokens")),
    (lambda whole, part: part <= whole, ("prompt_tokens", "cached_tokens")),
    (lambda whole, part: part <= whole, ("completion_tokens", "reasoning_tokens")),
    (
        lambda opening, moved, closing: usd(opening) + sum(map(usd, moved.values())) == usd(closing),
        ("opening_balance", "movements", "closing_balance"),
    ),
    (lambda gross, discount, amount: usd(gross) - usd(discount) == usd(amount), ("gross", "discount", "amount")),
    (lambda amount, remaining: usd(remaining) <= usd(amount), ("amount", "remaining")),
    (lambda amount, parts: sum(usd(part["amount"]) for part in parts) == usd(amount), ("amount", "allocations")),
    (lambda charged, settled: usd(charged) == usd(settled), ("charged", "settled_amount")),
    (lambda status, settled: status == "settled", ("status", "settled_amount")),
    (lambda start, end: start <= end, ("placed_at", "ended_at")),
    (lambda start, end: start < end, ("placed_at", "expires_at")),
    (lambda start, end: start < end, ("starts_at", "ends_at")),
    (lambda now, done: now <= done, ("occurred_at", "received_at")),
    (lambda cost, rows: sum(usd(row["amount"]) for row in rows) == usd(cost), ("provider_cost", "usage")),
    (lambda a, b, c, rows: a + b + c == len(rows), ("recorded", "duplicates", "refused", "results")),
    (lambda charge, rows: sum(usd(row["charge"]) for row in rows) == usd(charge), ("charge", "results")),
]


def test_a_wrong_example_would_be_seen():
    place = next(place for operation, place, *_ in EXAMPLES if operation == "get /api/v1/credits/balance")
    assert list(Draft202012Validator(schema_at(place), registry=DOCUMENTS).iter_errors({"balance": 1}))


def test_the_rules_see_a_contradiction():
    assert list(contradictions({"data": [{"balance": "10", "held": "10", "available": "10"}]}))
    assert list(contradictions({"provider_cost": "10.00", "markup": "10.00", "charge": "10.00"}))


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("/api/v1/credits/transactions/export.csv", ENTRY_COLUMNS),
        ("/api/v1/credits/statements/{id}.csv", STATEMENT_COLUMNS),
        ("/api/v1/coupons/export.csv", COUPON_COLUMNS),
    ],
)
def test_an_example_of_a_csv_has_the_columns_of_the_export(path, columns):
    [text] = [each[4] for each in EXAMPLES if (each[1][1], each[2]) == (path, "text/csv")]
    header, *rows = csv.reader(io.StringIO(text))
    assert header == list(columns)
    assert rows and all(len(row) == len(columns) for row in rows)


@pytest.mark.parametrize("path", ["/api/v1/chat/completions", "/api/v1/completions"])
def test_the_example_of_a_stream_is_one(path):
    [text] = [each[4] for each in EXAMPLES if (each[1][1], each[2]) == (path, "text/event-stream")]
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert "usage" in chunks[-1]
    assert list(contradictions(chunks)) == []
