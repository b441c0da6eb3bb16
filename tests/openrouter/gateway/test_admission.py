"""Who may call what; a refusal calls nobody and moves nothing."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.directory import forget_keys
from accounts.models import ApiKey
from credits.models import CreditAccount
from openrouter.gateway import admission
from openrouter.gateway.access import access
from openrouter.models import AccountStatus, ProviderAccount
from tests.openrouter.gateway.conftest import MARKUP
from tests.openrouter.gateway.serving import Client

pytestmark = pytest.mark.django_db(transaction=True)


def nothing_moved(buyer, credit=10):
    assert buyer.generations == []
    assert (buyer.account.balance, buyer.account.held) == (credit, 0)
    assert not any(hold.status == "open" for hold in buyer.holds)


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Basic abc", "Bearer nonsense", "Bearer fbx_live_" + "a" * 43, "Bearer sk-or-v1-x"]
)
def test_without_a_valid_key_nobody_calls(customer, served, header):
    headers = {} if header is None else {"authorization": header}
    answer = Client(served.port, None).chat(headers=headers)
    assert answer.status == 401
    assert answer.error["code"] == 401
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_needs_the_gateway_scope(customer):
    buyer = customer(scopes=("credits:read",))
    answer = buyer.chat()
    assert (answer.status, answer.error["type"]) == (403, "insufficient_scope")
    nothing_moved(buyer)


def test_a_revoked_key_stops_within_a_second(customer):
    buyer = customer()
    assert buyer.chat().status == 200
    ApiKey.objects.filter(organization=buyer.organization).update(revoked_at=timezone.now() - timedelta(seconds=1))
    forget_keys()
    assert (buyer.chat().status, len(buyer.generations)) == (401, 1)


def test_a_key_calls_only_the_models_it_lists(customer):
    buyer = customer(allowed_models=("openai/*", "sandbox/chat"))
    assert buyer.chat("openai/gpt-4o-mini").status == 200
    assert buyer.chat("openai/gpt-4o-mini:nitro").status == 200
    refused = buyer.chat("sandbox/tool")
    assert (refused.status, refused.error["type"]) == (403, "model_not_allowed")
    assert buyer.chat("sandbox/chat", models=["sandbox/tool"]).status == 403
    assert len(buyer.generations) == 2


def test_a_tier_with_a_list_admits_only_its_models(customer):
    buyer = customer(tier="listed")
    assert buyer.chat("sandbox/chat").status == 200
    assert buyer.chat("sandbox/tool").status == 403


def test_the_free_tier_calls_free_models_and_pays_its_fee_per_token(customer):
    buyer = customer(tier="free")
    assert buyer.chat("sandbox/chat").status == 403
    answer = buyer.chat("sandbox/chat:free", "[[prompt=600 tokens=400]]")
    assert answer.status == 200
    event = buyer.event
    assert event.is_free
    assert (event.provider_cost, str(event.charge.normalize())) == (0, "0.001")
    assert buyer.account.balance == 10 - event.charge


def test_a_free_model_needs_no_credit(customer):
    buyer = customer(credit="0")
    assert buyer.chat("sandbox/chat:free").status == 200
    assert buyer.chat("sandbox/zero-priced").status == 200
    nothing = [event.charge for event in buyer.events]
    assert nothing == [0, 0]
    assert buyer.account.balance == 0


def test_a_free_model_with_paid_fallbacks_reserves_for_the_dearest(customer):
    buyer = customer(credit="0")
    refused = buyer.chat("sandbox/chat:free", models=["sandbox/chat"], max_tokens=100)
    assert refused.status == 402
    assert buyer.generations == []


@pytest.mark.parametrize(("model", "status"), [("nobody/nothing", 404), ("openrouter/auto", 400)])
def test_what_has_no_price_is_refused(customer, model, status):
    buyer = customer()
    assert buyer.chat(model).status == status
    nothing_moved(buyer)


def test_a_router_is_called_within_the_price_that_the_request_names(customer):
    buyer = customer()
    limits = {"max_price": {"prompt": 1, "completion": 2}}
    assert buyer.chat("openrouter/auto", provider=limits, max_tokens=50).status == 200
    assert buyer.event.model == "openai/gpt-4o-mini"


def test_without_credit_the_answer_says_what_is_needed(customer):
    buyer = customer(credit="0.0001")
    answer = buyer.chat("openai/gpt-4o", max_tokens=1000)
    assert answer.status == 402
    error = answer.error
    assert (error["type"], error["metadata"]["available"]) == ("insufficient_credits", "0.0001")
    assert float(error["metadata"]["required"]) > 0.01
    nothing_moved(buyer, credit=buyer.account.balance)


def test_a_call_that_names_no_length_is_shortened_to_what_the_wallet_affords(customer):
    buyer = customer(credit="0.01")
    answer = buyer.chat("openai/gpt-4o", "[[tokens=5000]]")
    assert answer.status == 200
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert 64 <= buyer.event.completion_tokens < 1000
    assert 0 <= buyer.account.balance < 0.01


def test_a_length_that_the_client_names_is_never_changed(customer):
    buyer = customer(credit="0.01")
    refused = buyer.chat("openai/gpt-4o", max_tokens=5000)
    assert refused.status == 402
    affordable = refused.error["metadata"]["affordable_max_tokens"]
    assert buyer.chat("openai/gpt-4o", max_tokens=affordable).status == 200


def test_a_keys_own_spend_limit_holds_below_the_wallet(customer):
    buyer = customer(spend_limit=Decimal("0.001"))
    refused = buyer.chat("openai/gpt-4o", max_tokens=1000)
    assert (refused.status, refused.error["type"]) == (402, "spend_limit_reached")
    assert buyer.chat("openai/gpt-4o-mini", max_tokens=100).status == 200
    assert len(buyer.generations) == 1


def test_requests_per_minute_are_limited_with_headers(customer):
    buyer = customer(requests_per_minute=2)
    first = buyer.chat()
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert buyer.chat().status == 200
    third = buyer.chat()
    assert (third.status, third.error["type"]) == (429, "rate_limited")
    assert 1 <= int(third.headers["retry-after"]) <= 70
    assert third.headers["x-ratelimit-remaining-requests"] == "0"
    assert '"key-requests";q=2;w=60' in third.headers["ratelimit-policy"]
    assert '"key-requests";r=0;' in third.headers["ratelimit"]
    assert len(buyer.generations) == 2


def test_a_disabled_provider_account_is_not_replaced_by_the_shared_key(customer, sandbox):
    buyer = customer()
    ProviderAccount.objects.filter(organization=buyer.organization).update(status=AccountStatus.DISABLED)
    access.clear()
    answer = buyer.chat()
    assert (answer.status, answer.error["type"]) == (503, "provider_account_unavailable")
    nothing_moved(buyer)


def test_until_it_is_provisioned_the_shared_key_serves(customer, sandbox):
    buyer = customer()
    ProviderAccount.objects.filter(organization=buyer.organization).update(status=AccountStatus.PENDING, secret="")
    access.clear()
    before = sandbox.usage(key=sandbox.settings.api_key)
    assert buyer.chat().status == 200
    assert sandbox.usage(key=sandbox.settings.api_key) - before == buyer.event.provider_cost
    assert buyer.event.metadata["key"] == "shared"


def test_without_a_shared_key_the_first_call_waits_for_the_key_that_is_being_made(customer, settings, monkeypatch):
    settings.OPENROUTER_API_KEY = settings.OPENROUTER_SANDBOX_API_KEY = ""
    buyer = customer()
    account = ProviderAccount.objects.filter(organization=buyer.organization)
    secret = account.get().secret
    account.update(status=AccountStatus.PENDING, secret="")
    access.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(buyer.chat)
        time.sleep(0.3)
        account.update(status=AccountStatus.ACTIVE, secret=secret)
        assert first.result().status == 200
    assert buyer.event.metadata["key"] == "sub-key"
    account.update(status=AccountStatus.PENDING, secret="")
    access.clear()
    monkeypatch.setattr(admission, "_LOOKS", 1)
    answer = buyer.chat()
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    access.clear()


def test_test_keys_spend_test_credit_at_the_stand_in(customer):
    buyer = customer(mode="test")
    assert buyer.secret.startswith("fbx_test_")
    assert buyer.chat().status == 200
    assert buyer.account.balance == 10 - buyer.event.charge
    live = buyer.organization.live_organization
    assert CreditAccount.objects.get(pk=live.pk).entry_count == 0


def test_without_the_books_nobody_is_called(customer, served, monkeypatch):
    buyer = customer()

    async def away(queries):
        raise psycopg.OperationalError("the database is restarting")

    holds = served.app.gateway.holds
    served.on_loop(disconnect(holds))
    monkeypatch.setattr(holds._connection, "run", away)
    monkeypatch.setattr(holds, "_patience", 0.2)
    answer = buyer.chat()
    assert (answer.status, answer.error["type"]) == (503, "books_unavailable")
    assert answer.headers["retry-after"] == "1"
    nothing_moved(buyer)


def test_an_answer_is_not_lost_when_the_books_are_away_for_a_moment(customer, served, monkeypatch):
    buyer = customer()
    settlements = served.app.gateway.settlements
    run, refusals = settlements._connection.run, [psycopg.OperationalError("away")] * 3

    async def flaky(queries):
        if refusals:
            raise refusals.pop()
        return await run(queries)

    served.on_loop(disconnect(settlements))
    monkeypatch.setattr(settlements._connection, "run", flaky)
    answer = buyer.chat()
    assert answer.status == 200
    assert answer.charge == buyer.event.charge == buyer.billed * (1 + MARKUP)
    assert (buyer.account.held, refusals) == (0, [])


async def disconnect(group):
    group._connection.close()


def test_a_database_that_is_away_is_no_fault_of_the_request(customer, monkeypatch):
    async def away(*arguments):
        raise OperationalError("connection refused")

    buyer = customer()
    monkeypatch.setattr("openrouter.gateway.app.admit", away)
    answer = buyer.chat()
    assert (answer.status, answer.error["type"]) == (503, "books_unavailable")
