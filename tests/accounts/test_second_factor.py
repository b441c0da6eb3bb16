"""A second factor: set up, asked for, kept encrypted, and owed by operators where the setting says so."""

import json
import re
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from tests.builders import make_customer, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long enough secret"


@pytest.fixture(autouse=True)
def nobody_counted():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def person():
    found = make_user(email="ada@example.com", password=PASSWORD)
    EmailAddress.objects.create(user=found, email=found.email, verified=True, primary=True)
    make_customer(owner=found)
    return found


def log_in(client=None):
    client = client or Client()
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    return client


def code_for(secret: str, offset: int = 0) -> str:
    [counter] = list(totp.yield_hotp_counters_from_time())[1:2] or [next(iter(totp.yield_hotp_counters_from_time()))]
    return totp.format_hotp_value(totp.hotp_value(secret, counter + offset))


def set_up_app(client) -> str:
    path = "/accounts/2fa/totp/activate/"
    assert client.get(path)["Location"].startswith("/accounts/reauthenticate/")  # who are you, once more
    client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path})
    page = client.get(path).content.decode()
    secret = re.search(r'data-secret="([A-Z2-7]+)"', page)[1]
    answer = client.post(path, {"code": code_for(secret)})
    assert answer.status_code == 302, answer.content
    return secret


def test_a_code_is_asked_for_after_the_password_and_recovery_codes_work_once(person):
    client = log_in()
    set_up_app(client)
    codes = client.get("/accounts/2fa/recovery-codes/download/").content.decode().split()
    codes = [code for code in codes if code.isdigit()]
    assert len(codes) == 10
    second = log_in()
    assert "_auth_user_id" not in second.session
    assert second.get("/dashboard/").status_code == 302
    assert second.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert second.post("/accounts/2fa/authenticate/", {"code": codes[0]})["Location"] == "/dashboard/"
    assert second.session["_auth_user_id"] == str(person.pk)
    third = log_in()
    third.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert "_auth_user_id" not in third.session


def test_secrets_are_encrypted_and_follow_the_ring(person, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    client = log_in()
    secret = set_up_app(client)
    stored = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored and stored.count("f1.") == 2
    settings.FIELD_ENCRYPTION_KEYS = ["new", "old"]
    call_command("rotate_encryption_key", stdout=StringIO())
    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    app = Authenticator.objects.get(type="totp")
    assert app.wrap().validate_code(code_for(secret))


def test_operators_who_must_have_one_see_nothing_before_they_have(person, settings):
    person.is_staff = person.is_superuser = True
    person.save()
    client = log_in()
    assert client.get("/admin/accounts/user/").status_code == 200
    settings.OPERATORS_NEED_SECOND_FACTOR = True
    for path in ("/admin/", "/admin/accounts/user/", "/admin/jsi18n/"):
        assert client.get(path)["Location"] == "/accounts/2fa/", path
    secret = set_up_app(client)
    shown = client.get("/admin/accounts/user/")["Location"]
    assert shown == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Faccounts%2Fuser%2F"
    cache.clear()  # a code works once; the next one is as good
    client.post(shown, {"code": code_for(secret, 1), "next": "/admin/accounts/user/"})
    assert client.get("/admin/accounts/user/").status_code == 200
    assert client.get("/dashboard/").status_code == 200


def test_a_superuser_removes_the_factors_of_somebody_who_has_lost_them(person):
    set_up_app(log_in())
    boss = make_user(email="boss@example.com", password=PASSWORD, is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    body = {"action": "remove_second_factors", "_selected_action": [person.pk]}
    client.post("/admin/accounts/user/", body)
    assert not Authenticator.objects.exists()
    assert log_in().session["_auth_user_id"] == str(person.pk)


def test_the_session_has_another_key_after_signing_in(person):
    client = Client()
    client.get("/accounts/login/")
    session = client.session
    session["theme"] = "x"
    session.save()
    client.cookies["sessionid"] = before = session.session_key
    log_in(client)
    assert client.session.session_key != before


def test_other_sessions_are_listed_and_ended(person):
    here, there = log_in(), log_in(Client(headers={"user-agent": "Elsewhere/1.0"}))
    assert "Elsewhere/1.0" in here.get("/accounts/sessions/").content.decode()
    here.post("/accounts/sessions/")
    assert there.get("/keys/").status_code == 302
    assert here.get("/keys/").status_code == 200
