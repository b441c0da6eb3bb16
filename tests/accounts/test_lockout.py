"""Guessing a password is stopped, for the person who is attacked and from the address that attacks."""

import pytest
from axes.models import AccessAttempt
from django.core.cache import cache
from django.test import Client

from core import caching
from tests.builders import make_user
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)

RIGHT = "a long enough secret"


@pytest.fixture(autouse=True)
def nobody_counted(settings):
    cache.clear()
    settings.AXES_FAILURE_LIMIT = 4  # below the login library's own limit, so that ours is the one that is met
    yield
    cache.clear()


def logs_in(email, password=RIGHT, address="192.0.2.1") -> bool:
    client = Client(REMOTE_ADDR=address)
    client.post("/accounts/login/", {"login": email, "password": password})
    return "_auth_user_id" in client.session


def test_after_too_many_guesses_even_the_right_password_is_refused():
    make_user(email="ada@example.com", password=RIGHT)
    assert not any(logs_in("Ada@example.com", "wrong") for _ in range(4))
    attempt = AccessAttempt.objects.get()
    assert (attempt.username, attempt.ip_address) == ("ada@example.com", "192.0.2.1")
    cache.clear()
    assert not logs_in("ada@example.com")
    assert logs_in("ada@example.com", address="192.0.2.2")  # the person is not shut out everywhere


def test_one_persons_lock_out_is_not_everybodys():
    for name in ("ada", "bob"):
        make_user(email=f"{name}@example.com", password=RIGHT)
    for _ in range(4):
        logs_in("ada@example.com", "wrong")
    assert logs_in("bob@example.com")


def test_behind_a_proxy_addresses_are_told_apart(settings):
    settings.TRUSTED_PROXY_COUNT = 1
    make_user(email="ada@example.com", password=RIGHT)
    client = Client(headers={"x-forwarded-for": "198.51.100.7"})
    client.post("/accounts/login/", {"login": "ada@example.com", "password": "wrong"})
    assert AccessAttempt.objects.get().ip_address == "198.51.100.7"


def test_with_redis_away_people_log_in_and_guessing_is_stopped_all_the_same(settings, monkeypatch):
    monkeypatch.setattr(caching._Outage, "until", 0.0)
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": nobody_answers()}}
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "2/m/key"}
    for name in ("ada", "bob"):
        make_user(email=f"{name}@example.com", password=RIGHT)
    assert logs_in("bob@example.com")
    assert not any(logs_in("ada@example.com", "wrong") for _ in range(2))
    cache.set_many({f"another-{number}": 1 for number in range(500)})  # other names push nothing out
    assert not logs_in("ada@example.com")
    assert caching._Outage.until


def nobody_answers() -> str:
    return f"redis://127.0.0.1:{free_port()}/0"


def test_what_is_tried_too_often_is_answered_with_a_page_that_says_so(settings):
    settings.ACCOUNT_RATE_LIMITS = {"reset_password": "2/m/ip"}
    client = Client(REMOTE_ADDR="192.0.2.9")
    answers = [client.post("/accounts/password/reset/", {"email": "nobody@example.com"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [302, 302, 429]
    text = answers[-1].content.decode()
    assert "Wait a few minutes" in text and 'href="/accounts/password/reset/"' in text and "<html lang=" in text


def test_a_request_that_django_refuses_has_a_page_too():
    answer = Client(raise_request_exception=False).get("/accounts/login/", HTTP_HOST="evil.example")
    assert answer.status_code == 400 and "This request cannot be read" in answer.content.decode()
