"""Front page, switching, themes, API keys; who may see what."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts.models import ApiKey
from accounts.principal import Actor
from accounts.services import add_member, set_suspended
from tests.builders import make_customer, make_key, make_user, sign_in

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"fbx_(?:live|test)_[A-Za-z0-9_-]{43}")
PAGES = ("/dashboard/", "/usage/", "/transactions/", "/keys/")
ME = Actor("test")


@pytest.fixture
def customer():
    return make_customer(owner=make_user(), name="Analytical Engines")


@pytest.fixture
def owner(customer):
    return sign_in(customer.memberships.get().user)


def colleague(customer, role):
    person = make_user()
    add_member(organization_id=customer.id, user=person, role=role, actor=ME, at=timezone.now())
    return sign_in(person)


def key_form(**fields):
    return {"name": "Backend", "scopes": ["gateway"], "expires": "", "spend_limit": "", "allowed_models": "", **fields}


# ---------------------------------------------------------------- getting in


def test_visitors_see_the_front_page_and_members_their_overview(client, owner):
    assert "exact fare" in client.get("/").content.decode()
    assert owner.get("/")["Location"] == "/dashboard/"


@pytest.mark.parametrize("path", PAGES)
def test_visitors_are_sent_to_the_login_and_back(client, path):
    assert client.get(path)["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", PAGES)
def test_people_without_an_organization_are_told_so(path):
    answer = sign_in(make_user()).get(path)
    assert answer.status_code == 403 and "You belong to no organization yet" in answer.content.decode()


def test_operators_without_an_organization_are_led_to_the_back_office():
    operator = sign_in(make_user(is_staff=True))
    assert operator.get("/dashboard/")["Location"] == "/admin/"
    assert operator.get("/keys/").status_code == 403


def test_nothing_can_be_changed_in_a_suspended_organization(customer, owner):
    key, _ = make_key(customer)
    set_suspended(organization_id=customer.id, suspended=True, reason="x", actor=ME, at=timezone.now())
    for path in ("/keys/new/", f"/keys/{key.id}/revoke/", f"/keys/{key.id}/rotate/"):
        answer = owner.post(path, {"name": "x", "scopes": ["gateway"], "overlap": "0"})
        assert answer.status_code == 403 and "nothing can be changed" in answer.content.decode(), path
    key.refresh_from_db()
    assert key.revoked_at is None and ApiKey.objects.filter(organization=customer).count() == 1
    set_suspended(organization_id=customer.id, suspended=False, reason="x", actor=ME, at=timezone.now())
    assert owner.post(f"/keys/{key.id}/revoke/").status_code == 302


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_of_a_suspended_organization_say_so(customer, owner, path):
    set_suspended(organization_id=customer.id, suspended=True, reason="x", actor=ME, at=timezone.now())
    answer = owner.get(path)
    assert answer.status_code == 200 and "is suspended" in answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_kept_by_a_cache_between_people(owner, path):
    assert {"private", "no-store"} <= set(owner.get(path)["Cache-Control"].split(", "))


# ---------------------------------------------------------------- switching


def test_switching_shows_the_other_books_and_stays_on_the_list(customer, owner):
    answer = owner.post("/switch/", {"organization": customer.test_twin.id, "next": "/keys/"})
    assert answer["Location"] == "/keys/"
    assert "Sandbox books" in owner.get("/keys/").content.decode()


@pytest.mark.parametrize(
    "target",
    [
        "",
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "/transactions/01890000-0000-7000-8000-000000000000/",
        "/nowhere/",
    ],
)
def test_switching_never_leads_elsewhere(customer, owner, target):
    answer = owner.post("/switch/", {"organization": customer.id, "next": target})
    assert answer["Location"] == "/dashboard/"


@pytest.mark.parametrize("organization", ["", "x", "01890000-0000-7000-8000-000000000000"])
def test_switching_to_what_is_not_ones_own_is_not_found(owner, organization):
    assert owner.post("/switch/", {"organization": organization}).status_code == 404


def test_switching_to_a_strangers_organization_is_not_found_and_changes_nothing(customer, owner):
    stranger = make_customer(owner=make_user(), name="Strangers")
    for each in (stranger, stranger.test_twin):
        assert owner.post("/switch/", {"organization": each.id}).status_code == 404
    assert "Strangers" not in owner.get("/dashboard/").content.decode()


def test_switching_by_a_link_is_impossible(customer, owner):
    assert owner.get("/switch/", {"organization": customer.test_twin.id}).status_code == 405


# ---------------------------------------------------------------- theme and zone


def test_a_theme_is_remembered_and_forgotten(owner):
    answer = owner.post("/preferences/theme/", {"theme": "dark", "next": "/keys/?a=1"})
    assert answer["Location"] == "/keys/?a=1"
    assert 'data-theme="dark"' in owner.get("/dashboard/").content.decode()
    owner.post("/preferences/theme/", {"theme": "system"})
    assert "data-theme=" not in owner.get("/dashboard/").content.decode()


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "keys/"])
def test_choosing_a_theme_never_leads_elsewhere(owner, target):
    assert owner.post("/preferences/theme/", {"theme": "dark", "next": target})["Location"] == "/"


def test_a_cookie_with_another_theme_or_zone_is_ignored(owner):
    owner.cookies["theme"] = '"><script>alert(1)</script>'
    owner.cookies["tz"] = "../../etc/passwd"
    text = owner.get("/dashboard/").content.decode()
    assert "data-theme=" not in text and "alert(1)" not in text


def test_times_are_in_the_browsers_zone_until_the_person_has_set_one(customer, owner):
    key, _ = make_key(customer, at=timezone.now())
    moment = timezone.now()
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=moment)

    def shown_in(zone):
        local = moment.astimezone(ZoneInfo(zone))
        return f">{local:%b} {local.day}, {local:%H:%M}<" in owner.get("/keys/").content.decode()

    owner.cookies["tz"] = "Asia%2FTokyo"
    assert shown_in("Asia/Tokyo") and not shown_in("America/New_York")
    customer.memberships.get().user.__class__.objects.update(time_zone="America/New_York")
    assert shown_in("America/New_York") and not shown_in("Asia/Tokyo")


# ---------------------------------------------------------------- API keys


def test_a_key_is_made_and_its_secret_shown_once(customer, owner):
    answer = owner.post("/keys/new/", key_form(expires="30", spend_limit="12.50", allowed_models="openai/*, x/y\nz/w"))
    [secret] = set(SECRET.findall(answer.content.decode()))
    assert "no-store" in answer["Cache-Control"] and "private" in answer["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.allowed_models) == ("Backend", ["gateway"], ["openai/*", "x/y", "z/w"])
    assert str(key.spend_limit) == "12.500000000000"
    assert timedelta(days=29) < key.expires_at - timezone.now() <= timedelta(days=30)
    assert secret not in owner.get("/keys/").content.decode()


def test_in_test_mode_the_key_is_a_test_key(customer, owner):
    owner.post("/switch/", {"organization": customer.test_twin.id})
    text = owner.post("/keys/new/", key_form()).content.decode()
    assert "fbx_test_" in text and ApiKey.objects.get().organization == customer.test_twin


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "This field is required."),
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["admin"]}, "Select a valid choice"),
        ({"scopes": ["organization:manage"]}, "Select a valid choice"),
        ({"spend_limit": "-1"}, "greater than or equal to 0"),
        ({"spend_limit": "0.0000000000001"}, "no more than 12 decimal places"),
        ({"spend_limit": "NaN"}, "Enter a number"),
        ({"requests_per_minute": "0"}, "greater than or equal to 1"),
        ({"expires": "9999"}, "Select a valid choice"),
    ],
)
def test_a_form_that_does_not_fit_says_why_and_makes_no_key(owner, fields, said):
    answer = owner.post("/keys/new/", key_form(**fields))
    assert said in answer.content.decode() and not ApiKey.objects.exists()


def test_revoking_asks_first_and_says_so_afterwards(customer, owner):
    key, _ = make_key(customer, at=timezone.now())
    assert "Revoke “test”?" in owner.get(f"/keys/{key.id}/revoke/").content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
    assert "“test” is revoked" in owner.post(f"/keys/{key.id}/revoke/", follow=True).content.decode()
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_rotating_shows_a_new_secret_and_lets_the_old_one_run_out(customer, owner):
    key, old_secret = make_key(customer, at=timezone.now(), scopes=("gateway",))
    answer = owner.post(f"/keys/{key.id}/rotate/", {"overlap": "24"})
    [secret] = set(SECRET.findall(answer.content.decode()))
    assert secret != old_secret
    key.refresh_from_db()
    assert timedelta(hours=23) < key.revoked_at - timezone.now() <= timedelta(hours=24)
    again = owner.post(f"/keys/{key.id}/rotate/", {"overlap": "24"}, follow=True).content.decode()
    assert "no longer active" in again and ApiKey.objects.count() == 2


def test_a_key_with_more_rights_than_the_member_is_not_rotated_into_their_hands(customer, owner):
    key, _ = make_key(customer, at=timezone.now())  # every scope, admin too
    text = owner.post(f"/keys/{key.id}/rotate/", {"overlap": "0"}, follow=True).content.decode()
    assert "You cannot hand out what you do not have: admin." in text and ApiKey.objects.count() == 1


@pytest.mark.parametrize("role", ["billing", "member", "viewer"])
def test_members_without_the_right_see_keys_but_cannot_change_them(customer, role):
    key, _ = make_key(customer, at=timezone.now())
    browser_of = colleague(customer, role)
    text = browser_of.get("/keys/").content.decode()
    assert key.last_four in text and "Revoke" not in text and "New key" not in text
    for path in ("/keys/new/", f"/keys/{key.id}/revoke/", f"/keys/{key.id}/rotate/"):
        assert browser_of.get(path).status_code == browser_of.post(path, key_form(overlap="0")).status_code == 403
    key.refresh_from_db()
    assert key.revoked_at is None and ApiKey.objects.count() == 1


def test_a_name_is_text_never_markup(customer, owner):
    customer.name = "<img src=x onerror=alert(1)>"
    customer.save()
    owner.post("/keys/new/", key_form(name="<script>alert(1)</script>", allowed_models='"><svg/onload=alert(1)>'))
    text = owner.get("/keys/").content.decode()
    assert "<script>alert" not in text and "<img src=x" not in text and "<svg/onload" not in text


@pytest.mark.parametrize("rows", [1, 20])
def test_the_list_asks_as_much_for_many_keys_as_for_one(customer, owner, django_assert_num_queries, rows):
    for _ in range(rows):
        make_key(customer, at=timezone.now(), member=customer.memberships.get())
    with django_assert_num_queries(7):
        owner.get("/keys/")


def test_forms_without_the_token_are_refused(customer):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(customer.memberships.get().user, backend="django.contrib.auth.backends.ModelBackend")
    for path in ("/switch/", "/preferences/theme/", "/keys/new/"):
        answer = strict.post(path, key_form(organization=customer.id))
        assert answer.status_code == 403 and "form was too old" in answer.content.decode(), path


# ---------------------------------------------------------------- every page


FOR_VISITORS = ("/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/")
FOR_MEMBERS = (*PAGES, "/keys/new/", "/accounts/email/", "/accounts/password/change/", "/nothing/")


@pytest.mark.parametrize("path", FOR_VISITORS + FOR_MEMBERS)
def test_every_page_is_served_under_the_strict_policy_with_nothing_inline(owner, client, path):
    answer = (client if path in FOR_VISITORS else owner).get(path)
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert answer["X-Frame-Options"] == "DENY"
    text = answer.content.decode()
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*src=)", text)


# ---------------------------------------------------------------- a key's terms


def test_a_working_key_gets_other_terms_and_keeps_its_secret_and_its_end(customer, owner):
    ends = timezone.now() + timedelta(days=9)
    key, _ = make_key(customer, at=timezone.now(), scopes=("gateway",), expires_at=ends)
    member = customer.memberships.get()
    before = key.digest
    page = owner.get(f"/keys/{key.id}/").content.decode()
    assert "Save" in page and SECRET.search(page) is None
    form = key_form(
        name="Renamed",
        scopes=["gateway", "usage:read"],
        expires="keep",
        allowed_networks="203.0.113.0/24 2001:db8::1",
        tokens_per_minute="5000",
        member=str(member.id),
    )
    assert owner.post(f"/keys/{key.id}/", form)["Location"] == "/keys/"
    key.refresh_from_db()
    assert (key.name, key.digest, key.expires_at, key.member) == ("Renamed", before, ends, member)
    assert key.allowed_networks == ["203.0.113.0/24", "2001:db8::1/128"] and key.tokens_per_minute == 5000


def test_terms_that_cannot_be_are_told_beside_their_field(customer, owner):
    key, _ = make_key(customer, at=timezone.now(), scopes=("gateway",))
    page = owner.post(f"/keys/{key.id}/", key_form(expires="keep", allowed_networks="nowhere")).content.decode()
    assert "is not an IP address or network" in page
    stranger = make_customer(owner=make_user()).memberships.get()
    page = owner.post(f"/keys/{key.id}/", key_form(expires="keep", member=str(stranger.id))).content.decode()
    assert "Select a valid choice" in page
    key.refresh_from_db()
    assert key.name == "test"


def test_an_ended_key_is_not_changed(customer, owner):
    key, _ = make_key(customer)
    owner.post(f"/keys/{key.id}/revoke/")
    assert owner.post(f"/keys/{key.id}/", key_form(expires="keep"))["Location"] == "/keys/"
    key.refresh_from_db()
    assert key.name == "test"


# ---------------------------------------------------------------- people and organizations


def test_a_profile_is_saved_and_times_follow_it(owner, customer):
    person = customer.memberships.get().user
    assert owner.post("/profile/", {"name": " Ada  Lovelace ", "time_zone": "Asia/Tokyo"})["Location"] == "/profile/"
    person.refresh_from_db()
    assert (person.name, person.time_zone) == ("Ada Lovelace", "Asia/Tokyo")
    assert owner.post("/profile/", {"name": "x", "time_zone": "Mars/Base"}).status_code == 200
    assert owner.post("/profile/", {"name": "x" * 151, "time_zone": "UTC"}).status_code == 200
    person.refresh_from_db()
    assert person.time_zone == "Asia/Tokyo"


def test_only_managers_change_the_organization(customer, owner):
    form = {"name": "Difference Engines", "time_zone": "Europe/Warsaw"}
    for role in ("viewer", "member", "billing"):
        page = colleague(customer, role)
        assert page.get("/organization/").status_code == 200
        assert page.post("/organization/", form).status_code == 403
    customer.refresh_from_db()
    assert customer.name == "Analytical Engines"
    assert owner.post("/organization/", form)["Location"] == "/organization/"
    customer.refresh_from_db()
    assert (customer.name, customer.time_zone) == ("Difference Engines", "Europe/Warsaw")
    assert owner.post("/organization/", {**form, "name": " "}).status_code == 200
