"""The OpenAPI document is valid, whole and true, and is read without a connection to anywhere."""

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from openrouter.gateway.app import ROUTES as CALLS
from openrouter.gateway.app import GatewayApp
from openrouter.gateway.reads.routes import _ROUTES as READS
from tests.api.caller import Caller
from tests.api.routes import METHODS, api_routes, document, example_body
from tests.builders import make_customer

OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
    if method.upper() in METHODS
]


def ours(operation) -> bool:
    """Whether the gateway serves it: in OpenRouter's shapes, with numbers for amounts."""
    return operation.get("tags") == ["gateway"]


def contents(operation):
    for body in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from body.get("content", {}).items()


def test_the_document_is_valid_and_made_without_a_warning():
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert out.getvalue().startswith("openapi: 3.1.0")


def test_every_route_is_in_the_document():
    bare = {re.sub(r"{[^}]*}", "*", path).strip("/") for path in document()["paths"]}
    assert {re.sub(r"<[^>]*>", "*", route.pattern) for route in api_routes()} <= bare


def test_every_path_of_the_gateway_is_in_the_document():
    documented = {
        path for path, operations in document()["paths"].items() for each in operations.values() if ours(each)
    }
    assert set(CALLS) | set(READS) <= documented
    # The rest have parameters: an example of each is served by the gateway.
    for path in documented - set(CALLS) - set(READS):
        assert GatewayApp.serves(path.replace("{author}", "openai").replace("{slug}", "gpt-5-mini")), path


def test_operation_ids_are_unique():
    ids = [call.values[2]["operationId"] for call in OPERATIONS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_is_described_with_examples_and_its_refusals(path, method, operation):
    assert operation.get("description") or operation.get("summary")
    for kind, content in contents(operation):
        assert content.get("examples") or "example" in content, kind
    statuses = set(operation["responses"])
    assert any(status.startswith("2") for status in statuses)
    assert any(status.startswith("4") for status in statuses)
    if operation.get("security") and {} not in operation["security"]:
        assert {"401", "403", "429"} <= statuses
    if "requestBody" in operation:
        assert {"400", "413"} <= statuses and ("415" in statuses or ours(operation))


def floats(value):
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from floats(item)
    if isinstance(value, float):
        yield value


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_no_amount_is_a_float(path, method, operation):
    if ours(operation) or path.endswith("/estimates/accuracy"):  # shares of calls: nothing is added to them
        return
    for _, content in contents(operation):
        assert not list(floats(content.get("examples"))), content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("route", "method"),
    [
        pytest.param(route, method, id=f"{method} {route}")
        for route in api_routes()
        for method in ("POST", "PUT", "PATCH")
        if not route.parameters and example_body(route, method)
    ],
)
def test_the_documented_example_of_a_body_is_understood(route, method, monkeypatch):
    caller = Caller(make_customer())
    answer = caller.send(method, route.path("").removeprefix("/api/v1/"), example_body(route, method))
    assert answer.status_code not in (400, 415), answer.content


def test_money_moving_posts_document_the_idempotency_key():
    for call in OPERATIONS:
        path, method, operation = call.values
        if method == "post" and path.startswith("/api/v1/credits/"):
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            assert "Idempotency-Key" in names, path
            assert {"409", "422"} <= set(operation["responses"])


@pytest.mark.django_db
def test_the_documentation_is_browsable_without_inline_code_or_foreign_hosts():
    client = Client()
    page = client.get("/api/docs/")
    html = page.content.decode()
    assert page.status_code == 200
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|onclick", html)
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert sources and all(source.startswith("/") for source in sources)
    script = client.get(next(source for source in sources if "script=" in source).replace("&amp;", "&"))
    assert "/api/schema/" in script.content.decode()
    for source in sources:
        assert client.get(source.replace("&amp;", "&")).status_code == 200, source


@pytest.mark.django_db
def test_the_document_is_served():
    answer = Client().get("/api/schema/?format=json")
    assert answer.status_code == 200 and answer.json()["openapi"] == "3.1.0"
