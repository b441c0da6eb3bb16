"""Letters of the login library, in our words: what they lead to, and what to do if it was not you."""

import re

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client

from tests.builders import make_user

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def nobody_has_asked_before():
    cache.clear()


def sign_up(visitor: Client):
    form = {"email": "grace@example.com", "password1": PASSWORD, "password2": PASSWORD}
    return visitor.post("/accounts/signup/", form, HTTP_HOST="localhost")


def reset(email: str) -> mail.EmailMessage:
    Client().post("/accounts/password/reset/", {"email": email}, HTTP_HOST="localhost")
    return mail.outbox[-1]


def link_in(letter: mail.EmailMessage) -> str:
    [link] = re.findall(r"http://localhost(/\S+)", letter.body)
    return link


def test_the_letters_of_a_new_account_and_of_a_forgotten_password_say_what_to_do():
    visitor = Client()
    assert sign_up(visitor).status_code == 302
    [letter] = mail.outbox
    assert (letter.subject, letter.to) == ("Confirm your e-mail address", ["grace@example.com"])
    assert "Farebox account of grace@example.com" in letter.body and "If it was not you" in letter.body
    visitor.post(link_in(letter), HTTP_HOST="localhost")
    assert "Confirmed" in visitor.get("/accounts/email/", HTTP_HOST="localhost").content.decode()

    letter = reset("grace@example.com")
    assert letter.subject == "Choose a new password" and "the link works once" in letter.body
    page = Client().get(link_in(letter), HTTP_HOST="localhost", follow=True).content.decode()
    assert "New password, again" in page

    letter = reset("nobody@example.com")
    assert letter.subject == "There is no account with this address" and link_in(letter) == "/accounts/signup/"


def test_a_changed_password_is_told_with_when_and_from_where():
    person = make_user(email="ada@example.com", password=PASSWORD)
    visitor = Client()
    visitor.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    form = {"oldpassword": PASSWORD, "password1": PASSWORD + " staple", "password2": PASSWORD + " staple"}
    visitor.post("/accounts/password/change/", form, HTTP_USER_AGENT="Browser/1")
    letter = mail.outbox[-1]
    assert "Your password has been changed." in letter.body and "Browser/1" in letter.body
    assert re.search(r"\d{4}, \d\d:\d\d UTC\nfrom the address 127\.0\.0\.1", letter.body)
