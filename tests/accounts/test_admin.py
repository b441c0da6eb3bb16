"""Operators' pages: they write through services, show a secret once, and tell what was refused."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.directory import authenticate_key, forget_keys
from accounts.errors import ApiKeyRevoked
from accounts.models import ApiKey, Membership, Organization, User
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer, make_key, make_user, sign_in
from tiers.models import Subscription, Tier
from tiers.services import create_tier

pytestmark = pytest.mark.django_db(transaction=True)

TERMS = {
    "name": "Backend",
    "scopes": ["gateway", "admin"],
    "allowed_models": "openai/*, a/b",
    "allowed_networks": "10.0.0.0/8",
    "spend_limit": "5",
    "requests_per_minute": "",
    "tokens_per_minute": "",
    "expires_at": "",
    "member": "",
}


@pytest.fixture
def boss():
    forget_keys()
    return User.objects.create_superuser("boss@example.com", "a long enough secret")


@pytest.fixture
def site(boss):
    client = Client()
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def customer(boss):
    return make_customer(owner=make_user())


def send(site, path, **fields):
    answer = site.post(f"/admin/{path}", fields)
    if answer.status_code == 200 and "adminform" in (answer.context or {}):
        assert not answer.context["adminform"].form.errors, answer.context["adminform"].form.errors
    return answer


def messages_of(site, path):
    return " ".join(str(message) for message in site.get(f"/admin/{path}").context["messages"])


def secret_in(answer):
    [secret] = set(re.findall(r"fbx_(?:live|test)_[\w-]{43}", answer.content.decode()))
    return secret


def test_operators_log_in_where_everybody_does_and_others_stay_outside(customer):
    assert Client().get("/admin/")["Location"].startswith("/admin/login/")
    assert Client().get("/admin/login/")["Location"].startswith("/accounts/login/")
    member = Client()
    member.force_login(customer.memberships.get().user, backend="django.contrib.auth.backends.ModelBackend")
    assert member.get("/admin/", follow=True).status_code == 403


def test_a_key_is_made_and_its_secret_shown_once(site, customer):
    answer = send(site, "accounts/apikey/add/", organization=customer.id, **TERMS)
    secret = secret_in(answer)
    assert "no-store" in answer["Cache-Control"]
    who = authenticate_key(secret, at=timezone.now(), ip="10.1.1.1")
    assert who.allowed_models == {"openai/*", "a/b"} and who.has_scope("admin") and who.spend_limit == 5
    key = ApiKey.objects.get()
    pages = [site.get(f"/admin/accounts/apikey/{path}") for path in ("", f"{key.pk}/change/", f"{key.pk}/history/")]
    assert not any(secret in page.content.decode() for page in pages)
    assert secret not in str(list(Session.objects.values())) and secret not in str(site.cookies)
    assert DomainEvent.objects.get(type="api_key.created").actor_label == "boss@example.com"


def test_terms_that_are_refused_are_told_and_make_no_key(site, customer):
    answer = send(site, "accounts/apikey/add/", organization=customer.id, **{**TERMS, "allowed_networks": "nowhere"})
    assert answer.status_code == 302
    assert "is not an IP address" in messages_of(site, "accounts/apikey/add/")
    assert not ApiKey.objects.exists()


def test_a_key_is_changed_rotated_and_revoked(site, customer):
    key, secret = make_key(customer)
    send(site, f"accounts/apikey/{key.pk}/change/", **TERMS)
    key.refresh_from_db()
    assert (key.name, sorted(key.scopes)) == ("Backend", ["admin", "gateway"])
    answer = site.post("/admin/accounts/apikey/", {"action": "rotate", "_selected_action": [str(key.pk)]})
    assert authenticate_key(secret_in(answer), at=timezone.now(), ip="10.0.0.1")
    site.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]})
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(secret, at=timezone.now(), ip="10.0.0.1")
    assert site.get(f"/admin/accounts/apikey/{key.pk}/delete/").status_code == 403


def test_an_organization_is_made_with_its_twin_and_stopped_with_a_reason(site, customer):
    owner = make_user()
    send(site, "accounts/organization/add/", name="Engines", owner=owner.pk)
    made = Organization.objects.live().get(name="Engines")
    assert made.test_twin and made.memberships.get().user == owner
    path = f"accounts/organization/{made.pk}/change/"
    send(site, path, name="Engines", time_zone="UTC", is_suspended="on", reason="unpaid")
    assert set(Organization.objects.filter(name="Engines").values_list("is_suspended", flat=True)) == {True}
    assert DomainEvent.objects.get(type="organization.suspended").data == {"reason": "unpaid"}


def test_members_are_added_changed_and_removed_but_never_the_last_owner(site, customer):
    person = make_user()
    send(site, "accounts/membership/add/", organization=customer.id, user=person.pk, role="member")
    member = Membership.objects.get(user=person)
    send(site, f"accounts/membership/{member.pk}/change/", role="billing")
    member.refresh_from_db()
    assert member.role == "billing"
    send(site, f"accounts/membership/{member.pk}/delete/", post="yes")
    owner = customer.memberships.get()
    answer = send(site, f"accounts/membership/{owner.pk}/delete/", post="yes")
    assert answer.status_code == 302
    assert "at least one owner" in messages_of(site, "")
    assert Membership.objects.filter(organization=customer).get() == owner


def test_a_saved_tier_is_a_new_version(site):
    create_tier(at=NOON, slug="plus", name="Plus", requests_per_minute=10)
    old = Tier.objects.get()
    page = site.get(f"/admin/tiers/tier/{old.pk}/change/")
    values = {name: value for name, value in page.context["adminform"].form.initial.items() if value not in (None, "")}
    fields = {
        **{name: value for name, value in values.items() if value is not False},
        "components": '[{"type": "per_request", "amount": "0.01"}]',
        "entitlements": "{}",
        "model_ids": "",
        "reason": "Calls cost something now",
    }
    answer = send(site, f"tiers/tier/{old.pk}/change/", **fields)
    assert answer.status_code == 302
    new = Tier.objects.current().get()
    assert (new.version, new.components) == (2, [{"type": "per_request", "amount": "0.01", "applies_to": "all"}])
    old.refresh_from_db()
    assert old.retired_at is not None and old.components == []
    refused = site.post(f"/admin/tiers/tier/{new.pk}/change/", {**fields, "components": '[{"type": "tax"}]'})
    assert "A price component is one of" in str(refused.context["adminform"].form.errors)
    assert Tier.objects.count() == 2


def test_an_operator_puts_an_organization_on_a_tier(site, customer):
    plus = create_tier(at=NOON, slug="plus", name="Plus")
    send(site, "tiers/subscription/add/", organization=customer.id, tier=plus.pk, reason="A gift")
    assert Subscription.objects.get(organization=customer, ended_at=None).tier == plus
    row = Subscription.objects.get()
    assert site.get(f"/admin/tiers/subscription/{row.pk}/delete/").status_code == 403


def test_the_audit_trail_can_be_read_and_not_written(site, customer):
    event = DomainEvent.objects.first()
    assert site.get("/admin/outbox/domainevent/add/").status_code == 403
    assert site.get(f"/admin/outbox/domainevent/{event.pk}/delete/").status_code == 403
    site.post(f"/admin/outbox/domainevent/{event.pk}/change/", {"type": "forged"})
    event.refresh_from_db()
    assert event.type == "organization.created"


def test_a_person_is_made_with_a_password(site):
    send(
        site,
        "accounts/user/add/",
        email="new@example.com",
        usable_password="true",
        password1="a long enough secret",
        password2="a long enough secret",
    )
    assert User.objects.get(email="new@example.com").check_password("a long enough secret")


def test_people_are_made_inactive_never_deleted(site, customer):
    owner = customer.memberships.get().user
    assert site.post(f"/admin/accounts/user/{owner.pk}/delete/", {"post": "yes"}).status_code == 403
    site.post("/admin/accounts/user/", {"action": "delete_selected", "_selected_action": [owner.pk], "post": "yes"})
    assert User.objects.filter(pk=owner.pk).exists() and customer.memberships.exists()


def test_an_operator_cannot_give_themselves_or_take_over_powers(boss):
    helper = make_user(is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client = sign_in(helper)
    path = f"/admin/accounts/user/{helper.pk}/change/"
    client.post(path, {"email": helper.email, "time_zone": "UTC", "is_active": "on", "is_superuser": "on", "name": "H"})
    helper.refresh_from_db()
    assert (helper.name, helper.is_staff, helper.is_superuser) == ("H", True, False)
    for page in ("change", "password"):
        passwords = {"password1": "another long secret", "password2": "another long secret", "email": "x@example.com"}
        assert client.post(f"/admin/accounts/user/{boss.pk}/{page}/", passwords).status_code == 403
