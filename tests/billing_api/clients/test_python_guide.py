"""The unmodified ``spaire-sdk``: ingest, meter, price, credit, state, checkout, renewal; only the address differs."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from spaire_sdk import Spaire, models
from spaire_sdk.ingestion import Ingestion

from accounts.models import Mode
from billing.models import BalanceConvention, CustomerSubscription
from billing.services import set_balance_convention
from tests.builders import make_key

pytestmark = pytest.mark.django_db
TOKENS = {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "llm-usage"}]}


@pytest.fixture
def client(merchant):
    with Spaire(access_token=merchant.token, server_url=f"{merchant.url}/") as client:
        yield client


def make_meter(client, name="llm-token-usage", **fields):
    fields = {"filter": TOKENS, "aggregation": {"func": "sum", "property": "totalTokens"}, **fields}
    return client.meters.create(request={"name": name, **fields})


def ingest(client, tokens, customer="user_42", **fields):
    event = {"name": "llm-usage", "external_customer_id": customer, "metadata": {"totalTokens": tokens}, **fields}
    return client.events.ingest(request={"events": [event]})


def make_pro(client, meter, *, units=1000, rollover=False, cap=200):
    """10 $ a month, 1,000 tokens of credit, then half a cent a token."""
    product = client.products.create(
        request={
            "name": "Pro",
            "recurring_interval": "month",
            "prices": [
                {"amount_type": "fixed", "price_amount": 1000},
                {"amount_type": "metered_unit", "meter_id": meter.id, "unit_amount": "0.5", "cap_amount": cap},
            ],
        }
    )
    properties = {"units": units, "rollover": rollover, "meter_id": meter.id}
    benefit = client.benefits.create(
        request={"type": "meter_credit", "description": f"{units} tokens", "properties": properties}
    )
    return client.products.update_benefits(id=product.id, product_benefits_update={"benefits": [benefit.id]})


def buy(client, product, customer="user_42", token="ctoken_test_success"):
    checkout = client.checkouts.create(request={"products": [product.id], "external_customer_id": customer})
    confirm = {"confirmation_token_id": token, "customer_email": f"{customer}@example.com"}
    answer = client.checkouts.client_confirm(client_secret=checkout.client_secret, checkout_confirm_stripe=confirm)
    return checkout, answer


def end_period(client, subscription):
    """Have a period end at once, which a merchant can only ask for in the future; when it ended."""
    soon = {"current_billing_period_end": datetime.now(UTC) + timedelta(hours=1)}
    client.subscriptions.update(id=subscription.id, subscription_update=soon)
    end = datetime.now(UTC)
    CustomerSubscription.objects.filter(id=subscription.id).update(current_period_end=end, anchor_at=end)
    return end


def test_the_guide_from_the_first_event_to_the_second_invoice(client, merchant):
    meter = make_meter(client)
    assert (meter.name, meter.aggregation.property) == ("llm-token-usage", "totalTokens")
    sent = ingest(client, 300, external_id="req-1")
    assert (sent.inserted, sent.duplicates) == (1, 0)
    again = ingest(client, 999, external_id="req-1")
    assert (again.inserted, again.duplicates) == (0, 1)

    product = make_pro(client, meter)
    assert [price.AMOUNT_TYPE for price in product.prices] == ["fixed", "metered_unit"]
    assert (product.prices[1].unit_amount, product.prices[1].meter.name) == ("0.5", meter.name)
    assert product.benefits[0].properties.units == 1000

    checkout, confirmed = buy(client, product)
    assert checkout.status == "open" and checkout.url.startswith("http") and checkout.amount == 1000
    assert confirmed.STATUS == "confirmed" and confirmed.customer_session_token
    assert client.checkouts.get(id=checkout.id).status == "succeeded"

    [order] = client.orders.list(checkout_id=checkout.id).result.items
    assert (order.status, order.paid, order.total_amount) == ("paid", True, 1000)
    assert order.billing_reason == "subscription_create" and order.customer.external_id == "user_42"
    [subscription] = client.subscriptions.list(external_customer_id="user_42", active=True).result.items
    assert (subscription.status, subscription.amount, subscription.product.name) == ("active", 1000, "Pro")

    ingest(client, 1100)
    state = client.customers.get_state_external(external_id="user_42")
    [active] = state.active_meters
    assert (active.consumed_units, active.credited_units, active.balance) == (1100, 1000, -100)
    [running] = state.active_subscriptions
    assert (running.status, running.meters[0].amount) == (
        "active",
        50,
    )  # 100 tokens beyond the credit, half a cent each
    [grant] = state.granted_benefits
    assert (grant.benefit_type, grant.benefit_id) == ("meter_credit", product.benefits[0].id)

    # Typed clients drop the meter's name from the state; customer meters have it.
    [mine] = client.customer_meters.list(external_customer_id="user_42").result.items
    assert (mine.meter.name, mine.balance, mine.customer.id) == (meter.name, -100, state.id)
    assert client.customer_meters.get(id=mine.id).consumed_units == 1100

    period_end = end_period(client, subscription)
    renewed = client.subscriptions.get(id=subscription.id)
    assert renewed.current_period_start == period_end
    cycle, first = client.orders.list(customer_id=state.id).result.items
    assert (cycle.billing_reason, cycle.total_amount, first.id) == ("subscription_cycle", 1050, order.id)
    assert sorted(item.amount for item in cycle.items) == [50, 1000]
    assert client.orders.get(id=cycle.id).paid
    [active] = client.customers.get_state(id=state.id).active_meters
    assert (active.consumed_units, active.credited_units, active.balance) == (0, 1000, 1000)

    set_balance_convention(
        organization_id=merchant.organization.pk, convention=BalanceConvention.CONSUMED_MINUS_CREDITED
    )
    ingest(client, 400)
    [active] = client.customers.get_state(id=state.id).active_meters
    assert active.balance == -600  # the guide's reading: below zero, credit is left
    assert active.credited_units > active.consumed_units  # right under both
    [mine] = client.customer_meters.list(customer_id=state.id).result.items
    assert mine.balance == -600


def test_subscriptions_are_canceled_taken_up_again_and_revoked(client):
    product = make_pro(client, make_meter(client))
    buy(client, product)
    [bought] = client.subscriptions.list(product_id=product.id).result.items
    update = client.subscriptions.update
    canceled = update(id=bought.id, subscription_update={"cancel_at_period_end": True})
    assert (
        canceled.status == "active"
        and canceled.cancel_at_period_end
        and canceled.ends_at == canceled.current_period_end
    )
    assert not update(id=bought.id, subscription_update={"cancel_at_period_end": False}).cancel_at_period_end
    ended = client.subscriptions.revoke(id=bought.id)
    assert ended.status == "canceled" and ended.ended_at
    with pytest.raises(models.AlreadyCanceledSubscription):
        client.subscriptions.revoke(id=bought.id)
    state = client.customers.get_state_external(external_id="user_42")
    assert (state.active_subscriptions, state.granted_benefits) == ([], [])
    assert [(meter.credited_units, meter.balance) for meter in state.active_meters] == [(0, 0)]
    [grant] = client.benefit_grants.list(is_granted=False).result.items
    assert grant.is_revoked and grant.customer.external_id == "user_42"


def test_a_declined_payment_sells_nothing_and_a_checkout_is_confirmed_once(client):
    product = make_pro(client, make_meter(client))
    checkout = client.checkouts.create(request={"products": [product.id], "external_customer_id": "u"})
    confirm = {"confirmation_token_id": "ctoken_test_decline", "customer_email": "u@example.com"}
    with pytest.raises(models.PaymentError):
        client.checkouts.client_confirm(client_secret=checkout.client_secret, checkout_confirm_stripe=confirm)
    assert client.orders.list().result.items == [] and client.subscriptions.list().result.items == []
    confirm["confirmation_token_id"] = "ctoken_test_success"
    client.checkouts.client_confirm(client_secret=checkout.client_secret, checkout_confirm_stripe=confirm)
    with pytest.raises(models.CheckoutForbiddenError):
        client.checkouts.client_confirm(client_secret=checkout.client_secret, checkout_confirm_stripe=confirm)
    assert len(client.orders.list().result.items) == 1
    public = client.checkouts.client_get(client_secret=checkout.client_secret)
    assert public.status == "succeeded" and public.organization.name


def test_customers_are_found_changed_and_deleted_by_either_id(client):
    made = client.customers.create(
        request={"email": "ada@example.com", "external_id": "team/a b", "metadata": {"n": 1, "x": 1.5, "ok": True}}
    )
    assert made.metadata == {"n": 1, "x": 1.5, "ok": True} and isinstance(made.metadata["ok"], bool)
    with pytest.raises(models.HTTPValidationError) as refused:
        client.customers.create(request={"email": "ADA@example.com"})
    assert refused.value.data.detail[0].loc == ["body", "email"]
    assert client.customers.get_external(external_id="team/a b").id == made.id
    changed = client.customers.update(
        id=made.id,
        customer_update={"name": "Ada", "billing_address": {"country": "GB", "city": "London"}},
    )
    assert (changed.name, changed.billing_address.country, changed.external_id) == ("Ada", "GB", "team/a b")
    client.customers.update_external(external_id="team/a b", customer_update_external_id={"metadata": {"k": "v"}})
    assert [each.id for each in client.customers.list(metadata={"k": ["w", "v"]}).result.items] == [made.id]
    assert client.customers.list(email="nobody@example.com").result.pagination.max_page == 0
    assert [each.id for each in client.customers.list(query="Ad").result.items] == [made.id]
    state = client.customers.get_state_external(external_id="team/a b")
    assert (state.active_meters, state.active_subscriptions, state.granted_benefits) == ([], [], [])
    client.customers.delete_external(external_id="team/a b")
    with pytest.raises(models.ResourceNotFound):
        client.customers.get(id=made.id)
    assert client.customers.create(request={"email": "ada@example.com", "external_id": "team/a b"}).id != made.id


def test_events_are_listed_as_they_were_sent(client):
    usage = {"vendor": "openai", "model": "m", "input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    ada = client.customers.create(request={"email": "ada@example.com", "external_id": "ada"})
    client.events.ingest(
        request={
            "events": [
                {"name": "child", "external_customer_id": "ada", "parent_id": "trace", "metadata": {"deep": 1}},
                {
                    "name": "llm-usage",
                    "customer_id": ada.id,
                    "external_id": "trace",
                    "metadata": {"f": 1.0, "b": False, "_cost": {"amount": 0.36, "currency": "usd"}, "_llm": usage},
                },
            ]
        }
    )
    found = client.events.list(customer_id=ada.id, source="user").items
    child, parent = sorted(found, key=lambda event: event.name)
    assert (child.parent_id, parent.child_count, child.customer.id) == (parent.id, 1, ada.id)
    assert parent.metadata["f"] == 1.0 and parent.metadata["b"] is False
    assert str(parent.metadata["_cost"].amount) == "0.36" and parent.metadata["_llm"].total_tokens == 12
    assert client.events.get(id=child.id).external_customer_id == "ada"
    assert [event.id for event in client.events.list(parent_id=parent.id).items] == [child.id]
    deep = {"conjunction": "and", "clauses": [{"property": "deep", "operator": "gte", "value": 1}]}
    assert [event.id for event in client.events.list(filter_=json.dumps(deep)).items] == [child.id]
    assert [event.NAME for event in client.events.list(source="system").items] == ["customer.created"]
    assert {each.name for each in client.events.list_names().result.items} == {"child", "llm-usage"}


def test_an_id_that_many_send_at_once_counts_once(client):
    events = [{"name": "n", "external_customer_id": "u", "external_id": f"once-{number}"} for number in range(50)]

    def send(turn):
        turned = events[turn * 7 :] + events[: turn * 7]  # each in another order
        return client.events.ingest(request={"events": turned})

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(send, range(6)))
    assert sum(answer.inserted for answer in answers) == 50
    assert sum(answer.duplicates for answer in answers) == 250
    assert client.events.list(source="user", limit=100).pagination.total_count == 50


def test_quantities_have_a_step_for_each_hour_and_an_exact_total(client):
    meter = make_meter(client)
    start = datetime(2026, 3, 1, 10, tzinfo=UTC)
    for minutes, tokens in ((5, 3), (70, 4), (71, 5)):
        ingest(client, tokens, timestamp=start + timedelta(minutes=minutes))
    found = client.meters.quantities(
        id=meter.id, start_timestamp=start, end_timestamp=start + timedelta(hours=3), interval="hour"
    )
    assert [step.quantity for step in found.quantities] == [3, 9, 0] and found.total == 12
    other = client.meters.quantities(
        id=meter.id,
        start_timestamp=start,
        end_timestamp=start + timedelta(hours=3),
        interval="day",
        external_customer_id="nobody",
    )
    assert other.total == 0


def test_meters_are_listed_renamed_and_archived(client):
    meter = make_meter(client, metadata={"team": "a"})
    other = make_meter(client, "api-calls", aggregation={"func": "count"})
    assert [each.id for each in client.meters.list(query="API").result.items] == [other.id]
    assert [each.id for each in client.meters.list(metadata={"team": "a"}).result.items] == [meter.id]
    assert client.meters.update(id=other.id, meter_update={"name": "calls"}).name == "calls"
    ingest(client, 1)
    with pytest.raises(models.HTTPValidationError):
        client.meters.update(id=meter.id, meter_update={"aggregation": {"func": "count"}})
    assert client.meters.update(id=meter.id, meter_update={"is_archived": True}).archived_at
    assert [each.id for each in client.meters.list(is_archived=False).result.items] == [other.id]


def test_a_products_list_of_prices_is_replaced_as_a_whole(client):
    product = make_pro(client, make_meter(client))
    fixed, metered = product.prices
    prices = [models.ExistingProductPrice(id=metered.id), {"amount_type": "fixed", "price_amount": 1500}]
    changed = client.products.update(id=product.id, product_update={"prices": prices})
    assert changed.prices[0].id == metered.id and changed.prices[1].price_amount == 1500
    assert fixed.id not in {price.id for price in changed.prices}
    assert client.products.get(id=product.id).is_recurring
    assert client.products.update(id=product.id, product_update={"is_archived": True}).is_archived
    assert client.products.list(is_archived=False).result.items == []


def test_somebody_is_subscribed_without_payment_where_nothing_is_due(client):
    meter = make_meter(client)
    prices = [{"amount_type": "metered_unit", "meter_id": meter.id, "unit_amount": "0.000000000125"}]
    product = client.products.create(request={"name": "Pay as you go", "recurring_interval": "month", "prices": prices})
    assert product.prices[0].unit_amount == "0.000000000125"
    ada = client.customers.create(request={"email": "ada@example.com"})
    made = client.subscriptions.create(request={"product_id": product.id, "customer_id": ada.id})
    assert made.status == "active" and made.meters[0].meter.id == meter.id
    with pytest.raises(models.HTTPValidationError):
        client.subscriptions.create(request={"product_id": make_pro(client, meter).id, "customer_id": ada.id})


def test_tokens_are_made_used_and_revoked(client, merchant):
    made = client.organization_access_tokens.create(
        request={"comment": "ingestion", "scopes": ["events:write", "customers:read"]}
    )
    with Spaire(access_token=made.token, server_url=merchant.url) as theirs:
        assert ingest(theirs, 1).inserted == 1
        with pytest.raises(models.SDKError) as refused:
            make_meter(theirs)
        assert refused.value.status_code == 403
    listed = client.organization_access_tokens.list().result.items
    assert {each.comment for each in listed} == {"ingestion", "test"}
    client.organization_access_tokens.delete(id=made.organization_access_token.id)
    assert len(client.organization_access_tokens.list().result.items) == 1


def test_the_ingestion_helper_delivers_in_the_background(client, merchant):
    meter = make_meter(client, "api-calls", filter={"conjunction": "and", "clauses": []}, aggregation={"func": "count"})
    ingestion = Ingestion(merchant.token, server_url=merchant.url, flush_interval=0.05)
    for number in range(120):
        ingestion.ingest(
            {"name": "api-call", "external_customer_id": "user_42", "metadata": {"endpoint": f"/{number}"}}
        )
    ingestion.close()
    now = datetime.now(UTC)
    found = client.meters.quantities(
        id=meter.id,
        start_timestamp=now - timedelta(hours=1),
        end_timestamp=now + timedelta(hours=1),
        interval="hour",
    )
    assert found.total == 120


def test_the_sandbox_address_takes_sandbox_tokens_and_shows_nothing_of_the_live_one(client, merchant):
    live_organization = merchant.organization.live_organization
    live_token = make_key(live_organization, at=datetime.now(UTC))[1]
    assert merchant.organization.mode == Mode.TEST
    meter = make_meter(client)
    with Spaire(access_token=merchant.token, server_url=f"{merchant.url}/sandbox") as sandbox:
        assert sandbox.meters.get(id=meter.id).organization_id == str(merchant.organization.pk)
    with Spaire(access_token=live_token, server_url=merchant.url) as live:
        with pytest.raises(models.ResourceNotFound):
            live.meters.get(id=meter.id)
        assert live.meters.list().result.items == []
    with Spaire(access_token=live_token, server_url=f"{merchant.url}/sandbox") as wrong:
        with pytest.raises(models.SDKError) as refused:
            wrong.meters.list()
        assert refused.value.status_code == 401


def test_every_event_that_is_noted_is_read_by_the_client(client):
    meter = make_meter(client)
    _, bought = buy(client, make_pro(client, meter))
    subscription = client.subscriptions.list(customer_id=bought.customer_id).result.items[0]
    client.customers.update(id=bought.customer_id, customer_update={"name": "Ada", "metadata": {"rate": 1.5}})
    for change in ({"cancel_at_period_end": True}, {"cancel_at_period_end": False}):
        client.subscriptions.update(id=subscription.id, subscription_update=change)
    end_period(client, subscription)
    client.subscriptions.revoke(id=subscription.id)
    paid = client.orders.list(customer_id=bought.customer_id).result.items[0]
    client.refunds.create(request={"order_id": paid.id, "reason": "other", "amount": 1})  # reads a 201 as None
    [refund] = client.refunds.list(order_id=paid.id).result.items
    assert (refund.status.value, refund.amount) == ("succeeded", 1)
    session = client.customer_sessions.create(request={"customer_id": bought.customer_id})
    assert session.token in session.customer_portal_url
    client.customers.delete(id=bought.customer_id)
    listed = client.events.list(limit=100)
    assert {event.NAME for event in listed.items} == {
        *("customer.created", "customer.updated", "customer.deleted", "order.paid", "order.refunded"),
        *("benefit.granted", "benefit.cycled", "benefit.revoked", "meter.credited", "meter.reset"),
        *(f"subscription.{what}" for what in ("created", "canceled", "uncanceled", "cycled", "revoked")),
    }
    [updated] = [event for event in listed.items if event.NAME == "customer.updated"]
    assert updated.metadata.updated_fields.name == "Ada"
