"""Query parameters, pages and times: one rule on every route of the REST API, read from the API document."""

import json
import re

import pytest

from accounts.models import ApiKey
from config.queries import unknown_parameters
from tests.api.belongings import furnish
from tests.api.caller import Caller
from tests.api.routes import METHODS, document
from tests.builders import make_customer

pytestmark = pytest.mark.django_db

OPERATIONS = [
    pytest.param(method.upper(), path.removeprefix("/api/v1/"), operation, id=f"{method} {path}")
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
    if method.upper() in METHODS and operation.get("tags") != ["gateway"]
]
SOME_ID = "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10"


def query_names(operation) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}


def filled(path: str) -> str:
    return re.sub(r"{[^}]*}", SOME_ID, path)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_unknown_query_parameter_is_refused_by_name_and_nothing_is_done(method, path, operation):
    caller = Caller(make_customer())
    status, problem = caller.ask(method, f"{filled(path)}?misspelt=1", {})
    assert (status, problem["code"]) == (400, "invalid_request")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("misspelt", "unknown_field")]
    for name in query_names(operation):
        assert name in problem["detail"]
    assert ApiKey.objects.get() == caller.key


@pytest.mark.parametrize(("method", "path", "operation"), [each for each in OPERATIONS if query_names(each.values[2])])
def test_every_documented_query_parameter_is_known(method, path, operation):
    caller = Caller(make_customer())
    for name in query_names(operation):
        answer = caller.send(method, f"{filled(path)}?{name}=")
        assert answer.streaming or b"unknown_field" not in answer.content, name


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [each for each in OPERATIONS if "cursor" in query_names(each.values[2]) and "{" not in each.values[1]],
)
def test_a_position_that_no_answer_named_and_a_size_that_is_none_are_refused_in_one_way(method, path, operation):
    caller = Caller(make_customer())
    status, problem = caller.ask(method, f"{path}?cursor=nonsense")
    assert (status, problem["code"]) == (400, "invalid_cursor")
    for limit in ("abc", "0", "-1", "1.5", "\u0663"):
        status, problem = caller.ask(method, f"{path}?limit={limit}")
        assert (status, problem["code"], problem["errors"][0]["field"]) == (400, "invalid_request", "limit"), limit
    assert caller.ask(method, f"{path}?limit=1000")[0] == 200


def test_a_page_can_be_asked_for_with_the_links_of_an_answer():
    customer = make_customer()
    furnish(customer)
    caller = Caller(customer)
    first = caller.ask("GET", "api-keys?limit=1")[1]
    assert first["next"]
    assert caller.client.get(first["next"]).status_code == 200


def test_ingestion_takes_no_query_either():
    caller = Caller(make_customer())
    status, problem = caller.ask("POST", "metering/track?dry_run=true", {"name": "x"})
    assert (status, problem["errors"][0]["field"]) == (400, "dry_run")


def test_the_name_of_a_parameter_is_not_given_back_without_end():
    assert len(unknown_parameters(["x" * 10_000]).detail) < 200


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [each for each in OPERATIONS if each.values[0] == "GET" and "{" not in each.values[1]],
)
def test_times_leave_in_one_form(method, path, operation):
    customer = make_customer()
    furnish(customer)
    answer = Caller(customer).send(method, path)
    text = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert not re.search(rb"\d\d:\d\d(\.\d+)?\+00:00|\d\d-\d\d \d\d:\d\d", text), text
    if "json" in answer["Content-Type"]:
        json.loads(text)
