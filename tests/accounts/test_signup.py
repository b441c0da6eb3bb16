"""Somebody signs up: person, organization, twin, tier, welcome credit and provider account, all of it or nothing."""

from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import Organization, User
from credits.models import CreditAccount, Lot
from openrouter.models import ProviderAccount
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer, make_user
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.models import Subscription

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {"email": "Ada@Example.com", "password1": "a long enough secret", "password2": "a long enough secret"}


def sign_up():
    return Client().post("/accounts/signup/", FORM)


@pytest.fixture(autouse=True)
def catalogue(db, monkeypatch):
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    load_catalogue(name=MANAGED_CREDITS, at=NOON)


def test_a_new_person_has_an_organization_on_the_default_tier_with_its_welcome_credit():
    assert sign_up().status_code == 302
    person = User.objects.get()
    live = Organization.objects.live().get()
    assert live.memberships.get(user=person).role == "owner"
    for organization in (live, live.test_twin):
        assert CreditAccount.objects.get(organization=organization).balance == Decimal(10)
        lot = Lot.objects.get(account_id=organization.id)
        assert (lot.kind, lot.amount) == ("bonus", 10)
        assert Subscription.objects.get(organization=organization).tier.slug == "free"
        assert ProviderAccount.objects.filter(organization=organization).exists()
    told = set(DomainEvent.objects.filter(organization=live).values_list("type", flat=True))
    assert {"organization.created", "tier.changed", "credits.granted"} <= told


def test_signing_up_logs_in_and_leads_to_the_dashboard():
    client = Client()
    answer = client.post("/accounts/signup/", FORM)
    assert answer["Location"] == "/dashboard/"
    assert client.get("/api/v1/organization").json()["name"] == "ada"


def test_when_a_part_fails_nobody_is_left_half_made(monkeypatch):
    monkeypatch.setattr("tiers.services.subscriptions.grant_credits", lambda **_: 1 / 0)
    client = Client(raise_request_exception=False)
    assert client.post("/accounts/signup/", FORM).status_code == 500
    assert not User.objects.exists() and not Organization.objects.exists()


def test_an_organization_made_by_an_operator_starts_with_an_empty_wallet():
    live = make_customer(owner=make_user())
    assert CreditAccount.objects.get(organization=live).balance == 0


def test_the_same_address_in_other_letters_cannot_sign_up_twice():
    sign_up()
    Client().post("/accounts/signup/", {**FORM, "email": "ADA@example.COM"})
    assert User.objects.count() == 1 and Organization.objects.live().count() == 1


def test_login_takes_the_address_in_any_case_and_refuses_a_wrong_password():
    sign_up()
    client = Client()
    assert client.post("/accounts/login/", {"login": "ADA@example.com", "password": "wrong"}).status_code == 200
    assert "_auth_user_id" not in client.session
    client.post("/accounts/login/", {"login": "ADA@example.com", "password": FORM["password1"]})
    assert client.session["_auth_user_id"] == str(User.objects.get().pk)
