"""Organizations, members and keys through the API."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.directory import forget_keys
from accounts.models import ApiKey, Membership, Organization
from accounts.principal import Actor
from accounts.services import add_member, invite
from accounts.services.invitations import Inviter
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_key, make_user

pytestmark = pytest.mark.django_db(transaction=True)

ME = Actor("test")


@pytest.fixture
def customer():
    forget_keys()
    return make_customer(owner=make_user(email="owner@example.com"), name="Analytical Engines")


@pytest.fixture
def caller(customer):
    return Caller(customer)


def session_of(person, organization=None) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    if organization is not None:
        session = client.session
        session["organization_id"] = str(organization.id)
        session.save()
    return client


def test_a_key_is_made_used_listed_rotated_and_revoked(caller):
    status, made = caller.ask("POST", "api-keys", {"name": "Backend", "scopes": ["gateway"], "spend_limit": "12.50"})
    assert status == 201
    assert (made["name"], made["mode"], made["scopes"], made["spend_limit"]) == ("Backend", "live", ["gateway"], "12.5")
    assert made["secret"].startswith(made["prefix"]) and made["secret"].endswith(made["last_four"])

    listed = caller.ask("GET", "api-keys")[1]["data"]
    assert [key["name"] for key in listed] == ["Backend", "test"]
    assert "secret" not in listed[0] and made["secret"] not in str(listed)

    status, successor = caller.ask("POST", f"api-keys/{made['id']}/rotate", {"overlap_seconds": 60})
    assert status == 201 and successor["spend_limit"] == "12.5"
    old = caller.ask("GET", f"api-keys/{made['id']}")[1]
    assert old["replaced_by_id"] == successor["id"] and old["revoked_at"] is not None

    assert caller.ask("DELETE", f"api-keys/{successor['id']}") == (204, None)
    new_secret = Client(headers={"authorization": f"Bearer {successor['secret']}"})
    assert new_secret.get("/api/v1/organization").json()["code"] == "api_key_revoked"


def test_the_answer_with_a_secret_is_not_to_be_cached(caller):
    assert caller.send("POST", "api-keys", {"name": "n", "scopes": ["gateway"]})["Cache-Control"] == "no-store"


def test_a_changed_key_keeps_what_was_not_named(caller):
    key, _ = make_key(Organization.objects.get(id=caller.key.organization_id), scopes=("gateway",), tokens_per_minute=9)
    status, changed = caller.ask("PATCH", f"api-keys/{key.id}", {"name": "New", "allowed_networks": ["10.0.0.1"]})
    assert status == 200
    assert (changed["name"], changed["tokens_per_minute"], changed["scopes"]) == ("New", 9, ["gateway"])
    assert changed["allowed_networks"] == ["10.0.0.1/32"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "n", "scopes": ["root"]}, "scopes.0"),
        ({"name": "n", "scopes": []}, "scopes"),
        ({"name": "n", "scopes": ["gateway"], "spend_limit": 1.5e-13}, "spend_limit"),
        ({"name": "n", "scopes": ["gateway"], "colour": "red"}, "colour"),
        ({"name": "n", "scopes": ["gateway"], "allowed_networks": ["nowhere"]}, "allowed_networks"),
        ({"name": "n", "scopes": ["gateway"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "\x00", "scopes": ["gateway"]}, "name"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_by_field_and_makes_nothing(caller, body, field):
    status, problem = caller.ask("POST", "api-keys", body)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert field in {error["field"] for error in problem["errors"]}
    assert ApiKey.objects.count() == 1


def test_a_key_without_admin_manages_nothing(customer):
    weak = Caller(customer, scopes=("gateway", "usage:read", "usage:write", "credits:read", "credits:write"))
    for method, path in [("GET", "api-keys"), ("POST", "api-keys"), ("GET", "members"), ("PATCH", "organization")]:
        status, problem = weak.ask(method, path, {})
        assert (status, problem["code"]) == (403, "insufficient_scope")
        assert problem["required_scope"] == "admin"  # what a key can be given
    assert weak.ask("GET", "organization")[0] == 200


def test_a_test_key_sees_and_makes_test_keys_only(customer, caller):
    test = Caller(customer.test_twin)
    live_ids = {str(caller.key.id)}
    assert {key["id"] for key in test.ask("GET", "api-keys")[1]["data"]} == {str(test.key.id)}
    for method, path in [
        ("GET", f"api-keys/{caller.key.id}"),
        ("PATCH", f"api-keys/{caller.key.id}"),
        ("DELETE", f"api-keys/{caller.key.id}"),
        ("POST", f"api-keys/{caller.key.id}/rotate"),
    ]:
        assert test.ask(method, path, {})[0] == 404
    body = {"name": "n", "scopes": ["gateway"]}
    assert test.ask("POST", "api-keys", body)[1]["mode"] == "test"
    status, problem = test.ask("POST", "api-keys", body | {"mode": "live"})
    assert (status, problem["code"]) == (403, "live_mode_required")
    assert {str(id) for id in ApiKey.objects.filter(organization=customer).values_list("id", flat=True)} == live_ids


def test_a_test_key_reaches_neither_people_nor_the_organization_itself(customer):
    test, member = Caller(customer.test_twin), customer.memberships.get()
    assert test.ask("GET", "members")[1]["data"] == []
    assert test.ask("GET", f"members/{member.id}")[0] == 404
    for method, path, body in [
        ("PATCH", "organization", {"name": "Stolen"}),
        ("PATCH", f"members/{member.id}", {"role": "viewer"}),
        ("DELETE", f"members/{member.id}", None),
    ]:
        assert test.ask(method, path, body)[1]["code"] == "live_mode_required"
    assert test.ask("GET", "organization")[1]["mode"] == "test"
    customer.refresh_from_db()
    assert (customer.name, Membership.objects.get().role) == ("Analytical Engines", "owner")


def test_a_live_caller_makes_and_sees_test_keys_too(caller):
    status, made = caller.ask("POST", "api-keys", {"name": "n", "scopes": ["gateway"], "mode": "test"})
    assert (status, made["mode"], made["secret"][:9]) == (201, "test", "fbx_test_")
    assert {key["mode"] for key in caller.ask("GET", "api-keys")[1]["data"]} == {"live", "test"}


def test_the_organization_is_renamed_with_its_twin(customer, caller):
    status, changed = caller.ask("PATCH", "organization", {"name": "Difference Engines", "time_zone": "Europe/Berlin"})
    assert (status, changed["name"], changed["time_zone"]) == (200, "Difference Engines", "Europe/Berlin")
    assert Caller(customer.test_twin).ask("GET", "organization")[1]["name"] == "Difference Engines"
    assert caller.ask("PATCH", "organization", {"time_zone": "Mars/Base"})[0] == 400


def test_members_are_listed_changed_and_removed(customer, caller):
    member = add_member(organization_id=customer.id, user=make_user(), role="member", actor=ME, at=NOON)
    roles = {each["user"]["email"]: each["role"] for each in caller.ask("GET", "members")[1]["data"]}
    assert roles == {"owner@example.com": "owner", member.user.email: "member"}
    assert caller.ask("PATCH", f"members/{member.id}", {"role": "billing"})[1]["role"] == "billing"
    assert caller.ask("DELETE", f"members/{member.id}")[0] == 204
    owner = customer.memberships.get()
    assert session_of(owner.user).delete(f"/api/v1/members/{owner.id}").json()["code"] == "last_owner"


def test_a_key_with_every_scope_makes_changes_and_removes_no_owner(customer, caller):
    member = add_member(organization_id=customer.id, user=make_user(), role="admin", actor=ME, at=NOON)
    second = add_member(organization_id=customer.id, user=make_user(), role="owner", actor=ME, at=NOON)
    invitation = invite(organization_id=customer.id, email="ada@example.com", role="owner", by=Inviter(ME), at=NOON)
    for method, path, body in [
        ("PATCH", f"members/{member.id}", {"role": "owner"}),
        ("PATCH", f"members/{second.id}", {"role": "viewer"}),
        ("DELETE", f"members/{second.id}", None),
        ("POST", "invitations", {"email": "eve@example.com", "role": "owner"}),
        ("POST", f"invitations/{invitation.id}/resend", {}),
        ("DELETE", f"invitations/{invitation.id}", None),
    ]:
        status, problem = caller.ask(method, path, body)
        assert (status, problem["code"]) == (403, "owners_only"), (method, path)
    assert sorted(customer.memberships.values_list("role", flat=True)) == ["admin", "owner", "owner"]
    assert [each.email for each in customer.invitations.pending()] == ["ada@example.com"]
    assert caller.ask("PATCH", f"members/{member.id}", {"role": "viewer"})[0] == 200


def test_a_session_acts_for_the_persons_organization_with_the_scopes_of_the_role(customer):
    viewer = make_user()
    add_member(organization_id=customer.id, user=viewer, role="viewer", actor=ME, at=NOON)
    assert session_of(viewer).get("/api/v1/organization").json()["id"] == str(customer.id)
    assert session_of(viewer).get("/api/v1/credits/balance").status_code == 200
    assert session_of(viewer).get("/api/v1/api-keys").json()["code"] == "insufficient_scope"
    assert session_of(customer.memberships.get(role="owner").user).get("/api/v1/api-keys").status_code == 200


def test_no_role_may_add_credit_or_hand_out_the_scope_that_does(customer):
    owner = session_of(customer.memberships.get().user)
    refused = owner.post("/api/v1/credits/allocate", {"amount": "1", "reason": "x"}, "application/json")
    assert refused.json()["required_scope"] == "admin"
    made = owner.post("/api/v1/api-keys", {"name": "n", "scopes": ["gateway", "admin"]}, "application/json")
    assert (made.status_code, made.json()["required_scope"]) == (403, "admin")
    strong, _ = make_key(customer)
    taken = owner.post(f"/api/v1/api-keys/{strong.id}/rotate", {}, "application/json")
    assert (taken.status_code, taken.json()["code"]) == (403, "insufficient_scope")


def test_a_session_can_act_for_the_test_twin_and_never_for_strangers(customer):
    person = customer.memberships.get().user
    assert session_of(person, customer.test_twin).get("/api/v1/organization").json()["mode"] == "test"
    stranger = make_customer(owner=make_user())
    for other in (stranger, stranger.test_twin):
        assert session_of(person, other).get("/api/v1/organization").json()["id"] == str(customer.id)


def test_a_session_needs_the_csrf_token_to_write(customer):
    client = Client(enforce_csrf_checks=True)
    client.force_login(customer.memberships.get().user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.patch("/api/v1/organization", {"name": "x"}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    client.get("/accounts/login/")
    customer.refresh_from_db()
    assert customer.name == "Analytical Engines"


def test_an_admin_in_the_browser_cannot_touch_owners(customer):
    admin = make_user()
    add_member(organization_id=customer.id, user=admin, role="admin", actor=ME, at=NOON)
    owner = customer.memberships.get(role="owner")
    client = session_of(admin)
    assert client.delete(f"/api/v1/members/{owner.id}").json()["code"] == "owners_only"
    assert (
        client.patch(f"/api/v1/members/{owner.id}", {"role": "viewer"}, "application/json").json()["code"]
        == "owners_only"
    )


def test_a_person_without_an_organization_is_told_so():
    assert session_of(make_user()).get("/api/v1/organization").json()["code"] == "no_organization"


def test_a_suspended_organization_is_closed_to_its_people_too(customer):
    Organization.objects.update(is_suspended=True)
    person = customer.memberships.get().user
    assert session_of(person).get("/api/v1/organization").json()["code"] == "organization_suspended"


def test_an_expired_key_says_so(customer):
    caller = Caller(customer, expires_at=NOON + timedelta(seconds=1))
    answer = caller.send("GET", "organization")
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_expired")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_key_beats_the_session_and_a_wrong_key_is_never_served_as_the_session(customer):
    client = session_of(customer.memberships.get().user)
    other = make_customer()
    secret = make_key(other)[1]
    with_key = client.get("/api/v1/organization", headers={"authorization": f"Bearer {secret}"})
    assert with_key.json()["id"] == str(other.id)
    for header in ("Bearer nonsense", "Basic abc", "Bearer", secret):
        wrong = client.get("/api/v1/organization", headers={"authorization": header})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_api_key")


def test_the_callers_network_is_the_one_that_the_trusted_proxy_saw(customer, settings):
    caller = Caller(customer, allowed_networks=("10.0.0.0/8",))
    spoofed = {"X-Forwarded-For": "10.0.0.1"}
    assert caller.send("GET", "organization", **spoofed).status_code == 403
    settings.TRUSTED_PROXY_COUNT = 1
    assert caller.send("GET", "organization", **spoofed).status_code == 200
    chained = {"X-Forwarded-For": "10.0.0.1, 11.0.0.1"}
    assert caller.send("GET", "organization", **chained).json()["code"] == "ip_not_allowed"
