"""What each role may do: one table, asked on every page and every route of the API. Generated from the URL table."""

import json

import pytest
from django.db import transaction

from accounts.abilities import ROLES, abilities
from accounts.models import Role
from accounts.permissions import required_scope
from accounts.principal import Actor
from accounts.scopes import ANY, scopes_of_role
from accounts.services import add_member
from tests.api.routes import METHODS, all_routes, example_body
from tests.builders import NOON, make_customer, make_user, sign_in
from tiers.querysets import forget_terms
from tiers.services import create_tier

pytestmark = pytest.mark.django_db

PAGES = [route for route in all_routes() if hasattr(route.callback, "scope") and not route.is_api]
API = [route for route in all_routes() if route.is_api and getattr(route.callback, "cls", None)]
NOWHERE = "01890000-0000-7000-8000-000000000000"
SCOPELESS = {
    "home",
    "switch_organization",
    "set_theme",
    "profile",
    "invitation",
    "impersonation_end",
    "report_unsubscribe",
}


@pytest.fixture(scope="module")
def team(django_db_setup, django_db_blocker):
    """A browser of each role, made once; each test changes the world within a savepoint of its own."""
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("openrouter.tasks.soon", lambda *_: None)
        create_tier(at=NOON, slug="basic", name="Basic", is_default=True)
        customer = make_customer(owner=make_user())
        found = {Role.OWNER: sign_in(customer.memberships.get().user)}
        for role in ROLES[1:]:
            person = make_user()
            add_member(organization_id=customer.id, user=person, role=role, actor=Actor("test"), at=NOON)
            found[role] = sign_in(person)
        yield found
        transaction.set_rollback(True)


@pytest.fixture
def people(team, db, monkeypatch):
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    yield team
    forget_terms()


def may(role, scope) -> bool:
    return scope == ANY or scope in scopes_of_role(role)


def test_every_page_of_an_organization_names_its_scope():
    """A new page cannot be forgotten: it names a scope, or stands here because it is nobody's."""
    ours = ("accounts.", "credits.", "coupons.", "payments.", "metering.", "tiers.", "openrouter.")
    unguarded = {
        route.name
        for route in all_routes()
        if not route.is_api
        and getattr(route.callback, "__module__", "").startswith(ours)
        and not hasattr(route.callback, "scope")
    }
    assert unguarded <= SCOPELESS | {"payment_sandbox", "webhook_stripe", "webhook_standard"} | {
        name for name in unguarded if "webhook" in name or "sandbox" in name
    }


@pytest.mark.parametrize("route", PAGES, ids=str)
def test_a_page_lets_in_exactly_the_roles_that_the_table_says(people, route):
    for role, page in people.items():
        seen, sent = page.get(route.path(NOWHERE)), page.post(route.path(NOWHERE))
        told = [b"Your role in this organization" in answer.content for answer in (seen, sent) if not answer.streaming]
        if may(role, route.callback.scope):  # to change what the page shows may take more
            assert b"Your role" not in (b"" if seen.streaming else seen.content), (role, route)
        else:
            assert {seen.status_code, sent.status_code} <= {403, 405} and any(told), (role, route)


@pytest.mark.parametrize("route", API, ids=str)
def test_a_route_lets_in_exactly_the_roles_that_the_table_says(people, route):
    for method in METHODS:
        action = (getattr(route.callback, "actions", None) or {}).get(method.lower(), method.lower())
        view = route.callback.cls(**route.callback.initkwargs)
        view.action, view.action_map = action, getattr(route.callback, "actions", None)
        if not hasattr(view, action) or (view.action_map is not None and method.lower() not in view.action_map):
            continue
        if not hasattr(view, "scopes") and not hasattr(view, "scope"):
            continue
        scope = required_scope(view, method)
        body = json.dumps(example_body(route, method)).encode()
        for role, page in people.items():
            answer = page.generic(method, route.path(NOWHERE), body, content_type="application/json")
            refused = answer.status_code == 403 and b"insufficient_scope" in answer.content
            if not may(role, scope):
                assert refused, (role, method, scope, answer.content)
            elif refused:
                assert scope == ANY or b"You cannot hand out" in answer.content, (role, method, answer.content)


def test_the_table_in_words_is_the_table():
    words = {ability.label: dict(zip(ROLES, ability.roles, strict=True)) for ability in abilities()}
    assert words["Choose a plan; manage keys, people and settings"] == {
        Role.OWNER: True,
        Role.ADMIN: True,
        Role.BILLING: False,
        Role.MEMBER: False,
        Role.VIEWER: False,
    }
    assert [role for role in ROLES if words["Call models, try prompts in the lab"][role]] == [
        "owner",
        "admin",
        "member",
    ]
