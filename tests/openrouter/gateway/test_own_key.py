"""A customer's own provider key: no credit, all of it metered."""

from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from openrouter.gateway.access import access
from openrouter.models import ByokCredential
from outbox.models import DomainEvent
from sandbox.books import hash_of
from tests.openrouter.gateway.conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(customer, sandbox):
    """A customer whose own key belongs to another OpenRouter account."""

    def make(secret=sandbox.settings.customer_key, **options):
        buyer = customer(**{"tier": "own-key", "credit": "0", **options})
        ByokCredential.objects.create(
            organization=buyer.organization,
            secret=secret,
            hash=hash_of(secret),
            last_four=secret[-4:],
            verified_at=timezone.now(),
        )
        access.clear()
        return buyer

    return make


def test_a_call_with_an_own_key_costs_no_credit_and_is_metered(owner, sandbox):
    buyer = owner()
    before = sandbox.usage(key=sandbox.settings.customer_key)
    answer = buyer.chat("openai/gpt-4o-mini", "[[tokens=30]]")
    assert answer.status == 200
    paid = sandbox.usage(key=sandbox.settings.customer_key) - before
    event = buyer.event
    assert (event.charge, event.provider_cost, event.is_byok) == (0, 0, True)
    assert event.byok_cost == paid > 0
    assert event.completion_tokens == 30
    assert buyer.generations == []
    assert (buyer.account.balance, buyer.account.entry_count) == (0, 0)
    assert answer.headers["x-farebox-charge"] == "0"
    assert [attempt.cost for attempt in buyer.attempts] == [None]


def test_streams_are_no_different(owner):
    buyer = owner()
    assert buyer.chat("openai/gpt-4o-mini", "[[tokens=30]]", stream=True).events[-1] == "[DONE]"
    assert (buyer.event.charge, buyer.event.completion_tokens) == (0, 30)


def test_a_model_without_a_price_of_ours_may_be_called_with_an_own_key(owner):
    assert owner().chat("openrouter/auto").status == 200


def test_nothing_is_added_to_a_request_that_the_customer_pays(owner, sandbox):
    buyer = owner()
    buyer.chat("openai/gpt-4o-mini")
    sent = sandbox.requests()[-1]["body"]
    assert "max_price" not in sent
    assert "max_tokens" not in sent


def test_a_tier_without_own_keys_uses_ours(owner):
    buyer = owner(tier="paid", credit="10")
    assert buyer.chat().status == 200
    assert buyer.event.charge > 0
    assert not buyer.event.is_byok


def test_a_refused_own_key_is_the_customers_matter(owner):
    buyer = owner(secret="sk-or-v1-nobody-knows-this-key")
    answer = buyer.chat()
    assert (answer.status, answer.error["type"]) == (403, "own_key_refused")
    assert b"nobody-knows" not in answer.body
    assert buyer.event.status == "error"


def test_a_credential_at_the_provider_under_our_key_costs_its_fee(customer, sandbox):
    """OpenRouter's own BYOK: the customer's provider bills the tokens, our account pays a fee, which is passed on."""
    from openrouter.models import ProviderAccount

    buyer = customer()
    secret = sandbox.settings.byok_key
    ProviderAccount.objects.filter(organization=buyer.organization).update(hash=hash_of(secret), secret=secret)
    access.clear()
    assert buyer.chat("openai/gpt-4o-mini", "[[tokens=30]]").status == 200
    event = buyer.event
    [made] = [made for made in sandbox.generations(key=hash_of(secret)) if made["id"] == event.generation_id]
    assert event.is_byok
    assert event.charge == event.provider_cost == Decimal(made["cost"])
    assert event.byok_cost == Decimal(made["upstream_cost"]) > 0
    assert buyer.account.balance == 10 - event.charge


def test_a_key_that_cannot_be_read_is_refused_told_to_the_operator_and_replaced_by_no_other(owner, sandbox):
    buyer = owner(credit="10")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE openrouter_byokcredential SET secret = 'f1.00000000.gone'")
    access.clear()
    before = len(sandbox.requests())
    refusal = buyer.chat()
    assert (refusal.status, refusal.error["type"]) == (503, "own_key_unreadable")
    assert refusal.headers["x-should-retry"] == "false" and "00000000" not in refusal.body.decode()
    told = DomainEvent.objects.filter(organization=buyer.organization, type="gateway.provider_account_problem")
    wait_for(told.exists)
    assert told.get().data["key"] == "own" and "FIELD_ENCRYPTION_KEYS" in told.get().data["reason"]
    ByokCredential.objects.filter(organization=buyer.organization).delete()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE openrouter_provideraccount SET secret = 'f1.00000000.gone'")
    access.clear()
    refusal = buyer.chat()
    assert (refusal.status, refusal.error["type"]) == (503, "provider_account_unavailable")
    assert len(sandbox.requests()) == before
    assert (buyer.account.balance, buyer.account.held, buyer.holds, buyer.events) == (10, 0, [], [])
