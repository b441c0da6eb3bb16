"""No parameter of any page leads away from the site; read from the URL table, so that a new page is asked too."""

import html
import re
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from tests.api.routes import _walk
from tests.builders import make_customer, make_user, sign_in
from tiers.catalogue import MANAGED_CREDITS, load_catalogue

pytestmark = pytest.mark.django_db

ELSEWHERE = [
    *("https://evil.example", "//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)"),
    *(
        "\\\\evil.example",
        "/\t/evil.example",
        "///evil.example",
        "https://testserver@evil.example",
        " https://evil.example",
    ),
]
NAMES = (
    *(
        "next",
        "redirect",
        "redirect_to",
        "redirect_uri",
        "redirect_url",
        "return",
        "return_to",
        "return_url",
        "returned",
    ),
    *("url", "to", "then", "back", "continue", "goto", "success_url", "cancel_url", "came_from", "process"),
)
SOME_ID = "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10"
PASSWORD = "correct horse battery staple"
_LINKS = re.compile(r'\s(?:href|src|action|formaction|hx-get|hx-post)="([^"]*)"')


def pages():
    """Every page that a browser opens, those of the login library among them; of the back office, the way in."""
    routes = [
        route for route in _walk(get_resolver(), "") if not route.pattern.startswith(("api/", "v1/", "sandbox/v1/"))
    ]
    return [
        route for route in routes if "^" not in route.pattern and not re.match("admin/(?!login|logout)", route.pattern)
    ]


def leads_away(address: str) -> bool:
    """Whether a browser that is on a page of ours leaves the site by this address."""
    plain = re.sub(r"[\t\r\n]", "", address).strip().replace("\\", "/")
    if plain.startswith("//") or re.match("https?:(?!//)", plain):
        return True
    parts = urlsplit(plain)
    return bool(parts.scheme not in ("", "http", "https", "mailto") or (parts.netloc and parts.netloc != "testserver"))


def ways(answer) -> set[str]:
    """Where an answer sends a browser, or offers to."""
    found = {answer["Location"]} if answer.has_header("Location") else set()
    if not answer.streaming and "html" in answer.get("Content-Type", ""):
        found |= {html.unescape(link) for link in _LINKS.findall(answer.content.decode())}
    return found


@pytest.fixture
def person():
    person = make_user()
    person.set_password(PASSWORD)
    person.save()
    load_catalogue(name=MANAGED_CREDITS, at=timezone.now())
    make_customer(owner=person)
    return person


def test_what_leads_away_is_known():
    assert all(map(leads_away, ELSEWHERE))
    assert not any(
        map(leads_away, ["/", "/keys/?next=//evil.example", "?page=2", "#top", "http://testserver/keys/", ""])
    )


def test_no_page_leads_away_by_a_parameter(person):
    asked = 0
    for route in pages():
        path = route.path(SOME_ID)
        for client in (sign_in(person), Client()):
            if _ask(client, "get", path) == {f"/accounts/login/?next={path}"}:
                continue  # closed to strangers, whatever they send
            _ask(client, "post", path)
            asked += 1
    assert asked > 150


def _ask(client, method, path):
    """Whether the page leads away; answers where it leads, without what it was sent."""
    seen = _ways_of(client, method, path, "https://evil.example")
    # It is passed on, not just kept in the way back after signing in: then every spelling is tried.
    if any("evil.example" in way and f"?next={path}" not in way for way in seen):
        seen |= set().union(*(_ways_of(client, method, path, each) for each in ELSEWHERE))
    assert not {way for way in seen if leads_away(way) and ("evil" in way or "javascript" in way)}, (method, path)
    return {way.partition("%3F")[0] for way in seen}


def _ways_of(client, method, path, address):
    parameters = dict.fromkeys(NAMES, address)
    if method == "get":
        return ways(client.get(path, parameters))
    return ways(client.post(path, parameters, query_params=parameters))


@pytest.mark.parametrize("address", ELSEWHERE)
def test_signing_in_and_out_and_proving_who_one_is_never_leads_away(person, address):
    browser = Client()
    said = {"login": person.email, "password": PASSWORD, "next": address}
    answers = [browser.post("/accounts/login/", said, query_params={"next": address})]
    answers += [browser.get("/accounts/login/", {"next": address})]  # whoever is signed in is sent on at once
    answers += [browser.post("/accounts/reauthenticate/", {**said, "next": address})]
    answers += [browser.post("/preferences/theme/", {"theme": "dark", "next": address})]
    answers += [browser.post("/switch/", {"organization": person.memberships.get().organization_id, "next": address})]
    answers += [browser.post("/accounts/logout/", {"next": address}, query_params={"next": address})]
    for answer in answers:
        assert answer.status_code == 302, answer.request["PATH_INFO"]
        assert not leads_away(answer["Location"]), answer.request["PATH_INFO"]


def test_a_path_that_looks_like_another_host_stays_a_path():
    for path in ("//evil.example/keys", "//evil.example/dashboard/", "/\\evil.example/keys"):
        answer = Client().get("/", PATH_INFO=path)
        assert not leads_away(answer.get("Location", "/")), path
