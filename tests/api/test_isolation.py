"""Nobody reaches another organization's things on any route: generated from the URL table and the OpenAPI document."""

import json
import re
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from metering.price_book import forget_price_book
from tests.api.belongings import furnish, ids_by_table
from tests.api.caller import Caller
from tests.api.routes import METHODS, all_routes, document, example_body
from tests.builders import NOON, make_customer, make_user
from tests.metering.reporting import make_model
from tiers.services import create_tier

pytestmark = pytest.mark.django_db

WITH_ID = [route for route in all_routes() if any("uuid" in part or "pk" in part for part in route.pattern.split("<"))]
WITHOUT_ID = [route for route in all_routes() if not route.parameters]
REFUSED = {401, 402, 403, 404, 405}
NOBODYS = UUID("01900000-0000-7000-8000-00000000dead")
_TABLES = {model._meta.db_table for model in apps.get_models()}


class World:
    """Two strangers, each with a test twin; everything of the second is out of reach of the first."""

    def __init__(self):
        # What the documented example bodies are about, so that a refusal is about the owner and nothing else.
        create_tier(at=NOON, slug="basic", name="Basic", is_default=True)
        make_model("openai/gpt-4o-mini")
        self.mine, self.theirs = (make_customer(name=name, owner=make_user()) for name in ("Mine", "Theirs-9f3a"))
        for customer in (self.mine, self.theirs):
            furnish(customer)
            furnish(customer.test_twin)
        self.tables = [ids_by_table(organization) for organization in (self.theirs, self.theirs.test_twin)]
        self.own, self.twins = (set().union(*tables.values()) for tables in self.tables)

    def ids_in(self, tables: set[str]) -> set[UUID]:
        """Ids of theirs in these tables, of either mode."""
        return set().union(*(ids for each in self.tables for table, ids in each.items() if table in tables))


@pytest.fixture(scope="module")
def both(django_db_setup, django_db_blocker):
    """Made once, since it is much work; each test changes it within a savepoint of its own."""
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("openrouter.tasks.soon", lambda *_: None)
        yield World()
        transaction.set_rollback(True)


@pytest.fixture
def world(both, db, monkeypatch):
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    yield both
    forget_price_book()


def person_of(customer) -> Client:
    client = Client()
    owner = customer.memberships.get(role="owner").user
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client


def client_for(route, customer):
    return Caller(customer).client if route.is_api else person_of(customer)


def send(client, route, method, identifier):
    """With the documented body, so that the refusal is not merely about the body."""
    body = json.dumps(example_body(route, method)).encode()
    return client.generic(method, route.path(identifier), body, content_type="application/json")


def tables_asked(client, route, method):
    """The status for an id of nobody's, and the tables in which that id was looked for."""
    with CaptureQueriesContext(connection) as queries:
        status = send(client, route, method, NOBODYS).status_code
    about = " ".join(each["sql"] for each in queries if str(NOBODYS) in each["sql"] or NOBODYS.hex in each["sql"])
    return status, set(re.findall(r"\b[a-z]+_[a-z_]+\b", about)) & _TABLES


def candidates(world, client, route, method, identifiers):
    """Those of ``identifiers`` that the route can be about: in a table that it asks for an id; all if none is seen.

    A row can be reached only by asking for it, so ids of other tables would be refused like an id of nobody's. A
    method that the route does not know is tried with none.
    """
    status, tables = tables_asked(client, route, method)
    if status == 405:
        return set()
    return identifiers & world.ids_in(tables) or identifiers


def reached(world, client, route, identifiers):
    """What does not refuse."""
    for method in METHODS:
        for identifier in candidates(world, client, route, method, identifiers):
            status = send(client, route, method, identifier).status_code
            if status not in REFUSED:
                yield method, identifier, status


@pytest.mark.parametrize("route", WITH_ID, ids=str)
def test_a_strangers_ids_lead_nowhere(world, route):
    client = client_for(route, world.mine)
    foreign = world.own | world.twins
    assert list(reached(world, client, route, foreign)) == []


@pytest.mark.parametrize("route", WITH_ID, ids=str)
def test_the_owner_does_reach_something_on_the_same_route(world, route):
    """The control: without it the test above would pass on a route that never answers, or if it asked for other ids."""
    client = client_for(route, world.theirs)
    answers = (
        send(client, route, method, identifier)
        for method in ("GET", "POST")
        for identifier in candidates(world, client, route, method, world.own)
    )
    assert any(answer.status_code not in REFUSED for answer in answers), (
        f"add what {route} is about to tests/api/belongings.py"
    )


@pytest.mark.parametrize("route", [route for route in WITH_ID if route.is_api], ids=str)
def test_with_a_test_key_nothing_of_the_live_books_is_reachable(world, route):
    client = Caller(world.theirs.test_twin).client
    live = world.own - world.twins
    assert list(reached(world, client, route, live)) == []


@pytest.mark.parametrize("route", WITHOUT_ID, ids=str)
def test_no_list_shows_a_strangers_things(world, route):
    foreign = {str(each) for each in world.own | world.twins} | {"Theirs-9f3a"}
    answer = client_for(route, world.mine).get(route.path(""))
    assert answer.status_code < 500
    text = (answer.getvalue() if answer.streaming else answer.content).decode(errors="replace")
    assert not [each for each in foreign if each in text]


def bodies_with_ids():
    """(method, path, example body, the fields in it that hold an id) of every operation without a path parameter."""
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None or "{" in path:
                continue
            schema = body["schema"]
            fields = document()["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            ids = [name for name, each in fields.get("properties", {}).items() if each.get("format") == "uuid"]
            if ids:
                example = next(iter(body["examples"].values()))["value"]
                yield pytest.param(method.upper(), path, example, ids, id=f"{method} {path}")


@pytest.mark.parametrize(("method", "path", "example", "ids"), list(bodies_with_ids()))
def test_a_strangers_ids_in_a_body_are_refused(world, method, path, example, ids):
    client = Caller(world.mine).client
    for identifier in world.own | world.twins:
        for name in ids:
            body = {field: value for field, value in example.items() if field not in ids} | {name: str(identifier)}
            answer = client.generic(method, path, json.dumps(body).encode(), content_type="application/json")
            assert 400 <= answer.status_code < 500, (name, answer.content)
