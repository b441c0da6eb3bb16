"""Requests counted in the real frameworks: pattern, status and customer, never the path or the body."""

import pytest
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from farebox.middleware.asgi import FareboxMiddleware
from farebox.middleware.django import middleware_for
from farebox.middleware.flask import count_requests
from farebox.strategies.usage import Meter

SECRET = "s3cret-token"


@pytest.fixture
def calls(collector):
    return Meter(collector, name="api-call")


def seen(collector):
    return [
        (event.external_customer_id, event.metadata["method"], event.metadata["route"], event.metadata["status"])
        for event in collector.events
    ]


def user_of(scope):
    if scope["path"] == "/nobody":
        raise KeyError("session")
    return dict(scope["headers"]).get(b"x-user", b"").decode() or None


def test_fastapi(calls, collector):
    from fastapi import FastAPI, HTTPException
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.add_middleware(
        FareboxMiddleware,
        meter=calls,
        customer=user_of,
    )

    @app.get("/items/{item}")
    async def item(item: int):
        if item == 13:
            raise HTTPException(404)
        return {"item": item}

    client = TestClient(app)
    user = {"x-user": "user_42"}
    client.get(f"/items/7?token={SECRET}", headers=user)
    client.get("/items/13", headers=user)
    client.get("/nowhere", headers=user)
    client.get("/items/7")
    assert client.get("/nobody").status_code == 404, "a customer that cannot be told breaks no request"
    assert seen(collector) == [
        ("user_42", "GET", "/items/{item}", 200),
        ("user_42", "GET", "/items/{item}", 404),
        ("user_42", "GET", "(no route)", 404),
    ]
    assert SECRET not in str(collector.events)
    assert 0 <= collector.events[0].metadata["deltaTime"] < 60


def test_flask(calls, collector):
    from flask import Flask, abort, request

    app = Flask("shop")

    @app.get("/items/<int:item>")
    def item(item):
        return abort(404) if item == 13 else {"item": item}

    count_requests(app, calls, customer=lambda: request.headers.get("x-user"))
    client = app.test_client()
    user = {"x-user": "user_42"}
    client.get(f"/items/7?token={SECRET}", headers=user)
    client.get("/items/13", headers=user)
    client.get("/nowhere", headers=user)
    client.get("/items/7")
    assert seen(collector) == [
        ("user_42", "GET", "/items/<int:item>", 200),
        ("user_42", "GET", "/items/<int:item>", 404),
        ("user_42", "GET", "(no route)", 404),
    ]
    assert SECRET not in str(collector.events)


def item_view(request, item):
    return HttpResponse(status=404 if item == 13 else 200)


urlpatterns = [path("items/<int:item>/", item_view)]
middleware = None


@pytest.fixture
def django_site(settings, calls, monkeypatch):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.middleware"]
    made = middleware_for(calls, customer=lambda request: request.headers.get("x-user"))
    monkeypatch.setattr(f"{__name__}.middleware", made)


def test_django(django_site, collector):
    client = Client(raise_request_exception=False)
    client.get(f"/items/7/?token={SECRET}", headers={"x-user": "user_42"})
    client.get("/items/13/", headers={"x-user": "user_42"})
    client.get("/items/7/")
    assert seen(collector) == [
        ("user_42", "GET", "items/<int:item>/", 200),
        ("user_42", "GET", "items/<int:item>/", 404),
    ]
    assert SECRET not in str(collector.events)


async def test_django_async(django_site, collector):
    await AsyncClient().get("/items/7/", headers={"x-user": "user_42"})
    assert seen(collector) == [("user_42", "GET", "items/<int:item>/", 200)]
