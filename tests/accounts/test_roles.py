"""What each role may do: one table, asked on every page and every route of the API. Generated from the URL table."""

import json

import pytest
from django.utils import timezone

from accounts.abilities import ROLES, abilities
from accounts.models import Role
from accounts.permissions import required_scope
from accounts.principal import Actor
from accounts.scopes import ANY, scopes_of_role
from accounts.services import add_member
from tests.api.routes import METHODS, all_routes, example_body
from tests.builders import make_customer, make_user, sign_in

pytestmark = pytest.mark.django_db

PAGES = [route for route in all_routes() if hasattr(route.callback, "scope") and not route.is_api]
API = [route for route in all_routes() if route.is_api and getattr(route.callback, "cls", None)]
NOWHERE = "01890000-0000-7000-8000-000000000000"
SCOPELESS = {"home", "switch_organization", "set_theme", "profile", "invitation"}


@pytest.fixture
def people(monkeypatch):
    """A browser of each role."""
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    customer = make_customer(owner=make_user())
    found = {Role.OWNER: sign_in(customer.memberships.get().user)}
    for role in ROLES[1:]:
        person = make_user()
        add_member(organization_id=customer.id, user=person, role=role, actor=Actor("test"), at=timezone.now())
        found[role] = sign_in(person)
    return found


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
        is_refused = {page.get(route.path(NOWHERE)).status_code, page.post(route.path(NOWHERE)).status_code} == {403}
        is_told = b"Your role in this organization" in page.get(route.path(NOWHERE)).content
        if not may(role, route.callback.scope):
            assert is_refused or is_told or page.get(route.path(NOWHERE)).status_code == 405, (role, route)
            assert page.post(route.path(NOWHERE)).status_code in (403, 405), (role, route)
        else:
            assert not is_told, (role, route)


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
    assert words["Manage keys, people and settings"] == {
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
