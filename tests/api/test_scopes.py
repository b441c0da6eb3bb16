"""Every route of the API asks for a scope, and nothing is served without it: generated from the URL table."""

import pytest
from django.test import Client

from accounts.permissions import HasScope, required_scope
from accounts.scopes import ALL_SCOPES, ANY, effective_scopes, scope_for_keys
from tests.api.caller import Caller
from tests.api.routes import METHODS, api_routes
from tests.builders import make_customer

# What visitors may read.
PUBLIC = {"tiers-compare"}
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"

ROUTES = [route for route in api_routes() if route.name not in PUBLIC]


def methods_of(route) -> list[str]:
    actions = getattr(route.callback, "actions", None)
    names = actions if actions else [name for name in map(str.lower, METHODS) if hasattr(route.callback.cls, name)]
    return [name.upper() for name in names if name != "head"]


def needed(route, method) -> str:
    view = route.callback.cls()
    view.action_map = getattr(route.callback, "actions", None)
    if view.action_map:
        view.action = view.action_map[method.lower()]
    return required_scope(view, method)


CALLS = [pytest.param(route, method, id=f"{method} {route}") for route in ROUTES for method in methods_of(route)]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_every_route_is_guarded_by_scopes(route):
    assert HasScope in route.callback.cls.permission_classes


def test_the_public_routes_are_the_ones_agreed():
    unguarded = {route.name for route in api_routes() if HasScope not in route.callback.cls.permission_classes}
    assert unguarded == PUBLIC


@pytest.mark.django_db
@pytest.mark.parametrize(("route", "method"), CALLS)
def test_without_a_key_there_is_a_401_with_a_challenge(route, method):
    answer = Client().generic(method, route.path(UNKNOWN_ID), b"{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
@pytest.mark.parametrize(("route", "method"), CALLS)
def test_a_key_with_every_other_scope_is_refused_by_the_name_of_the_missing_one(route, method):
    scope = needed(route, method)
    if scope == ANY:
        return
    others = {each for each in ALL_SCOPES if scope not in effective_scopes([each])}
    caller = Caller(make_customer(), scopes=tuple(others))
    answer = caller.client.generic(method, route.path(UNKNOWN_ID), b"{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert answer.json()["required_scope"] == scope_for_keys(scope)  # one that a key can be given


@pytest.mark.django_db
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_method_that_a_route_does_not_have_is_a_405(route):
    caller = Caller(make_customer())
    for method in {*METHODS, "OPTIONS"} - set(methods_of(route)):
        answer = caller.client.generic(method, route.path(UNKNOWN_ID), b"{}", content_type="application/json")
        assert (method, answer.status_code, answer.json()["code"]) == (method, 405, "method_not_allowed")


def test_every_scope_that_a_route_asks_for_can_be_had():
    asked = {needed(call.values[0], call.values[1]) for call in CALLS}
    assert asked <= effective_scopes(ALL_SCOPES) | {ANY}
    assert {scope_for_keys(scope) for scope in asked} <= ALL_SCOPES | {ANY}
