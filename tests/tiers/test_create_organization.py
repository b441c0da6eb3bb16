"""``manage.py create_organization``: a ready-to-use customer, or a clear message and nothing."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import ApiKey, Organization, User
from accounts.scopes import ALL_SCOPES
from credits.models import LedgerEntry
from tests.builders import NOON, make_user
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.models import Subscription

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def catalogue(db, monkeypatch):
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    load_catalogue(name=MANAGED_CREDITS, at=NOON)


@pytest.fixture
def create(capsys):
    def create(*options):
        call_command("create_organization", "--email", "ada@example.com", "--json", *options)
        return json.loads(capsys.readouterr().out)

    return create


def test_the_printed_key_answers_for_the_printed_balance(create, settings):
    settings.PUBLIC_URL = "https://credits.example.com/"
    made = create("--tier", "starter", "--credit", "10.00")
    assert set(made) == {"organization", "api_key", "gateway_url", "balance_url"}
    assert made["gateway_url"] == "https://credits.example.com/api/v1"
    path = made["balance_url"].removeprefix("https://credits.example.com")
    balance = Client().get(path, headers={"authorization": f"Bearer {made['api_key']}"}).json()
    assert (balance["balance"], balance["held"], balance["available"]) == ("10", "0", "10")
    assert balance["organization_id"] == made["organization"]
    assert Subscription.objects.get(organization_id=made["organization"]).tier.slug == "starter"
    assert set(ApiKey.objects.get().scopes) == ALL_SCOPES
    assert Organization.objects.get(id=made["organization"]).memberships.get().user.email == "ada@example.com"


def test_scopes_name_and_mode_can_be_chosen(create):
    made = create("--scopes", "gateway,credits:read", "--name", "Engines", "--mode", "test", "--credit", "3")
    key = ApiKey.objects.get()
    assert made["api_key"].startswith("fbx_test_")
    assert key.scopes == ["credits:read", "gateway"]
    assert (key.organization.name, key.organization.mode) == ("Engines", "test")
    assert str(key.organization_id) == made["organization"]
    assert [entry.account_id for entry in LedgerEntry.objects.all()] == [key.organization_id]


def test_without_a_tier_the_default_is_taken_and_credit_is_what_was_asked_for(create):
    made = create()
    assert Subscription.objects.get(organization_id=made["organization"]).tier.slug == "free"
    assert not LedgerEntry.objects.exists()


def test_a_known_address_gets_another_organization(create):
    person = make_user(email="ada@example.com")
    first, second = create(), create("--email", "ADA@example.com")
    assert first["organization"] != second["organization"]
    assert User.objects.get() == person
    assert person.memberships.count() == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tier", "gold"), "There is no tier called 'gold'. There are: free, starter, professional, enterprise."),
        (("--credit", "ten"), "--credit ten: This is not a decimal number."),
        (("--credit", "-1"), "--credit -1: The amount cannot be negative."),
        (("--credit", "1e999999"), "--credit 1e999999: The amount must be below 1000000000000."),
        (("--credit", "nan"), "--credit nan: This is not a decimal number."),
        (("--email", "nobody"), "--email nobody: This is not an e-mail address."),
        (("--scopes", "gateway,root"), "Name at least one scope"),
        (("--name", " "), "A name has 1 to 120 characters."),
    ],
)
def test_a_mistake_is_named_and_nothing_is_made(create, options, message):
    with pytest.raises(CommandError, match=message.replace(".", r"\.")):
        create(*options)
    assert not Organization.objects.exists() and not User.objects.exists() and not ApiKey.objects.exists()
