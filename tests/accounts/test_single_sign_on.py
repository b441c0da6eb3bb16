"""Single sign-on with a small issuer on this machine: new people, known people, and addresses nobody vouches for."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client

from accounts.models import Organization, User
from tests.builders import NOON, make_user
from tiers.services import create_tier

pytestmark = pytest.mark.django_db(transaction=True)


class Issuer(BaseHTTPRequestHandler):
    """Says that whoever comes is ``person``."""

    person: dict = {}
    asked: list = []

    def do_GET(self):
        base = f"http://{self.headers['Host']}"
        if self.path.startswith("/.well-known/"):
            self._say(
                {
                    "issuer": base,
                    "authorization_endpoint": f"{base}/authorize",
                    "token_endpoint": f"{base}/token",
                    "userinfo_endpoint": f"{base}/userinfo",
                    "jwks_uri": f"{base}/keys",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                }
            )
        else:
            self._say(self.person)

    def do_POST(self):
        self.asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self._say({"access_token": "token", "token_type": "Bearer", "expires_in": 60})

    def _say(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture(scope="module")
def address():
    server = HTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(autouse=True)
def issuer(address, settings, monkeypatch, db):
    app = {"provider_id": "sso", "name": "Example ID", "client_id": "farebox", "secret": "s", "settings": {}}
    app["settings"] = {"server_url": address}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    create_tier(at=NOON, slug="basic", name="Basic", is_default=True)
    Issuer.person = {"sub": "u-1", "email": "Grace@example.com", "email_verified": True, "name": "Grace Hopper"}
    Issuer.asked.clear()
    cache.clear()


def come(client=None, state=None):
    """The way to the issuer and back; the browser and the last answer."""
    client = client or Client()
    sent = client.post("/accounts/oidc/sso/login/")
    asked = parse_qs(urlsplit(sent["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    back = client.get("/accounts/oidc/sso/login/callback/", {"code": "c", "state": state or asked["state"][0]})
    return client, back


def test_a_new_person_has_an_organization_and_a_name_from_the_issuer():
    client, back = come()
    assert back["Location"] == "/dashboard/"
    person = User.objects.get()
    assert (person.email, person.name, person.has_usable_password()) == ("grace@example.com", "Grace Hopper", False)
    assert Organization.objects.live().get().memberships.get().user == person
    assert client.session["_auth_user_id"] == str(person.pk) and "code_verifier" in Issuer.asked[0]
    assert "Example ID" in Client().get("/accounts/login/").content.decode()
    again, _ = come()
    assert again.session["_auth_user_id"] == str(person.pk) and User.objects.count() == 1
    assert client.get("/accounts/3rdparty/").status_code == 200


def test_a_name_of_blanks_is_none():
    Issuer.person = {**Issuer.person, "name": "  \u00a0 "}
    come()
    assert (User.objects.get().name, Organization.objects.live().get().name) == ("", "grace")


def test_an_address_that_somebody_has_here_opens_nothing_by_itself():
    known = make_user(email="grace@example.com", password="x")
    EmailAddress.objects.create(user=known, email=known.email, verified=True, primary=True)
    client, _ = come()
    assert "_auth_user_id" not in client.session and not SocialAccount.objects.exists()


def test_where_the_issuer_is_trusted_its_verified_address_opens_the_account(settings):
    settings.SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
    known = make_user(email="grace@example.com", password="x")
    EmailAddress.objects.create(user=known, email=known.email, verified=True, primary=True)
    Issuer.person = {**Issuer.person, "email_verified": False}
    client, _ = come()
    assert "_auth_user_id" not in client.session
    Issuer.person = {**Issuer.person, "email_verified": True}
    client, _ = come()
    assert client.session["_auth_user_id"] == str(known.pk)


def test_an_answer_that_nobody_asked_for_signs_nobody_in():
    client, back = come(state="forged")
    assert "_auth_user_id" not in client.session and "Signing in did not work" in back.content.decode()
    assert not User.objects.exists()


def test_a_link_alone_does_not_sign_anybody_in():
    page = Client().get("/accounts/oidc/sso/login/")
    assert page.status_code == 200 and "Go on to Example ID" in page.content.decode()
