"""Rows of every model that the back office shows, with secrets in them that nobody may see."""

from dataclasses import asdict
from datetime import timedelta
from itertools import count
from typing import Any

from allauth.account.models import EmailAddress
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone

from accounts.models import Organization, User
from accounts.principal import Actor
from accounts.services import start_impersonation
from accounts.services.teams import create_team, fill_team
from advice.models import Finding, Recommendation, RecommendationReview, WrittenAdvice
from advice.services import start_what_if
from advice.what_if.change import Change
from advice.what_if.reading import Asked
from billing.models import Order
from billing.services.refunds import refund_order
from core.ids import uuid7
from coupons.services import create_coupon, generate_batch, redeem_coupon
from coupons.terms import Terms
from credits.batch_file import COLUMNS
from credits.services import HoldRequest, grant_credits, place_hold, set_spend_limit
from credits.services.batches import check_batch
from metering.estimates.calibration import Calibration
from metering.estimates.makeup import Makeup
from metering.estimates.models import TokenCalibration
from metering.models import ModelPrice
from metering.rerating.services import try_rerating
from metering.services import BudgetTerms, create_budget, create_meter
from metering.services.price_book import set_price
from openrouter.models import (
    Attempt,
    ByokCredential,
    KeyReading,
    ProviderAccount,
    ProviderBalance,
    ReconciliationDifference,
    ReconciliationRun,
    RetiredKey,
    RoutingRule,
)
from outbox.mail import queue_email
from outbox.models import WebhookDelivery
from outbox.taskruns import record_run
from outbox.webhooks.services import Wish, create_endpoint, send_test
from payments.models import AutoTopUp, Dispute, Payment
from payments.services import add_discount, receive_event
from payments.webhooks.sandbox import message_of
from reports.services import subscribe as subscribe_to_report
from reports.services import write_due_reports
from tests.billing.selling import fixed, make_benefit, make_buyer, make_meter, make_product, metered, subscribe
from tests.builders import make_call, make_customer, make_key, make_user, usd
from tests.payments.building import ask_for, with_card
from tests.tiers.closing import make_subscription
from tiers.close.paper import write_due_statements
from tiers.close.services import close_period
from tiers.services import create_tier

_numbers = count(1)


def furnish(sets: int) -> list[str]:
    """``sets`` more of everything; the secrets that went into it."""
    return [secret for _ in range(sets) for secret in _furnish_once(next(_numbers))]


def shown_models() -> list[type[Model]]:
    """Every model that the back office shows."""
    return sorted(admin.site._registry, key=lambda model: model._meta.label)


def _furnish_once(number: int) -> list[str]:
    now = timezone.now()
    password = f"a long enough secret {number}"
    owner = make_user(password=password, name=f"Person {number}")
    tier = create_tier(at=now, slug=f"tier-{number}", name=f"Tier {number}")
    customer = make_customer(owner=owner, tier_slug=tier.slug, at=now)
    key, api_secret = make_key(customer, at=now, spend_limit=usd("5"))
    set_spend_limit(organization_id=customer.id, limit_id=key.id, ceiling=usd("5"))
    create_team(organization_id=customer.id, name="Research", actor=Actor("test"), at=now)
    _use(customer, number, api_key_id=key.id)
    _set_price(number)
    _advise(customer, number)
    _teach(number)
    _make_meters(customer, number)
    _watch_doors(owner, number)
    _look_as(owner, customer, number)
    _keep_busy(customer, number)
    _report(customer, key)
    _end_a_period()
    _redeem(customer, number)
    _pay(customer, number)
    _sell(customer)
    secrets = [password, owner.password, api_secret, settings.SECRET_KEY, *settings.FIELD_ENCRYPTION_KEYS]
    return secrets + _deal_with_provider(customer, number) + _tell(customer, number)


def _advise(customer: Organization, number: int) -> None:
    now = timezone.now()
    asked = Asked(now - timedelta(days=1), now, {})
    start_what_if(
        organization_id=customer.id, asked=asked, change=Change(is_byok=True), requested_by=f"Person {number}", at=now
    )
    evidence = {"model": "vendor/one", "max_tokens": 320, "events": 300, "cut": 3, "median": 90, "longest": 900}
    Recommendation.objects.create(
        organization=customer,
        kind=Finding.OUTPUT_LIMIT,
        subject="vendor/one",
        saving=usd("2"),
        confidence="medium",
        evidence=evidence,
        found_at=now,
        computed_at=now,
    )
    RecommendationReview.objects.create(organization=customer, starts_at=now, ends_at=now, computed_at=now)
    WrittenAdvice.objects.create(
        organization=customer,
        state="written",
        figures={},
        fingerprint="",
        requested_by=f"Person {number}",
        finished_at=now,
        text="Use the smaller model.",
        model="vendor/one",
        cost=usd("0.0004"),
    )
    price = ModelPrice.objects.order_by("pk").first()
    again = {"pricing": price.pricing, "starts_at": now - timedelta(days=1), "ends_at": now}
    try_rerating(price_id=price.pk, reason="Typing error", actor=Actor(f"Person {number}"), at=now, **again)


def _teach(number: int) -> None:
    calibration = Calibration.of(f"vendor/taught-{number}")
    calibration.learn(Makeup("o200k_base", {"prose": 100}, 1), 120)
    TokenCalibration.objects.create(
        model=f"vendor/taught-{number}",
        vocabulary="o200k_base",
        sums=asdict(calibration.sums),
        calls=calibration.calls,
        learned_at=timezone.now(),
    )


def _use(customer: Organization, number: int, **fields: Any) -> None:
    now = timezone.now()
    grant_credits(
        organization_id=customer.id, amount=usd("20"), kind="bonus", reason="Hello", actor="test", at=now, key="hello"
    )
    hold = place_hold(HoldRequest(customer.id, usd("2"), f"hold {number}", now + timedelta(hours=1)), at=now)
    place_hold(HoldRequest(customer.id, usd("1"), f"open {number}", now + timedelta(hours=1)), at=now)
    make_call(customer, "0.5", occurred_at=now, hold_id=hold.hold_id, **fields)


def _report(customer: Organization, key: Any) -> None:
    """Somebody in the team, and a report of it that was written."""
    who: dict[str, Any] = {"organization_id": customer.id, "actor": Actor("test"), "at": timezone.now()}
    member = customer.memberships.get()
    team = customer.teams.get()
    fill_team(team_id=team.id, member_ids=[member.id], key_ids=[key.id], **who)
    wanted = subscribe_to_report(cadence="weekly", format="pdf", member_ids=[member.id], team_id=team.id, **who)
    write_due_reports(at=wanted.next_at)


def _keep_busy(customer: Organization, number: int) -> None:
    now = timezone.now()
    record_run(task=f"acme.tasks.job{number}", started_at=now, finished_at=now, outcome="failed", error="away")
    queue_email(
        key=f"letter {number}", recipient="a@example.com", subject="x", body="x", organization_id=customer.id, at=now
    )
    content = f"{','.join(COLUMNS)}\n{customer.id},grant,1,,,,\n"
    check_batch(
        name=f"file {number}",
        reason="test",
        file_name="x.csv",
        content=content.encode(),
        actor=Actor("test"),
        at=now,
    )
    ProviderBalance.objects.create(upstream=f"live {number}", bought=2, used=1, taken_at=now)


def _redeem(customer: Organization, number: int) -> None:
    now, actor = timezone.now(), Actor("test")
    terms = Terms(kind="bonus", amount=usd("1"), partner=f"Partner {number}")
    create_coupon(code=f"CODE-{number}", terms=terms, actor=actor, at=now)
    redeem_coupon(organization_id=customer.id, code=f"CODE-{number}", actor=actor, at=now)
    lent = Terms(kind="tier", tier_slug=f"tier-{number}", periods=1)
    generate_batch(prefix=f"B{number}", count=2, terms=lent, actor=actor, at=now)


def _end_a_period() -> None:
    now = timezone.now()
    subscription = make_subscription(at=now - timedelta(days=40))
    close_period(subscription_id=subscription.id, at=now)
    write_due_statements(at=now)


def _sell(merchant: Organization) -> None:
    """A customer of the organization's own, with all that can be bought."""
    meter = make_meter(merchant)
    plan = make_product(merchant, fixed(1000), metered(meter, "0.5"), benefits=(make_benefit(merchant, meter),))
    subscribe(make_buyer(merchant), plan)
    order = Order.objects.get(organization=merchant)
    now = timezone.now()
    refund_order(
        organization_id=merchant.id,
        order_id=order.id,
        amount=100,
        reason="customer_request",
        actor=Actor("test"),
        at=now,
    )


def _pay(customer: Organization, number: int) -> None:
    now = timezone.now()
    card = with_card(customer)
    payment = ask_for(customer, "10", at=now, key=f"payment {number}")
    Payment.objects.filter(pk=payment.pk).update(method=card)
    Dispute.objects.create(
        organization=customer,
        payment=payment,
        provider="stripe",
        reference=f"dp_{number}",
        amount=payment.amount,
        opened_at=now,
    )
    terms = {"applies_to": "any", "uses": 1, "key": f"discount {number}", "source": "test", "at": now}
    add_discount(organization_id=customer.id, percent=usd("10"), **terms)
    AutoTopUp.objects.create(organization=customer, threshold=1, amount=5)
    receive_event(message_of("payment.tried", payment.id, "test_card_ok"), at=now)


def _tell(customer: Organization, number: int) -> list[str]:
    now, actor = timezone.now(), Actor("test")
    wish = Wish(url=f"https://example.com/hooks/{number}", events=["credits.low"])
    endpoint = create_endpoint(organization_id=customer.id, wish=wish, actor=actor, at=now)
    message = send_test(endpoint_id=endpoint.id, organization_id=customer.id, actor=actor, at=now)
    begun = {"number": 1, "succeeded": False, "duration_ms": 10, "created_at": now}
    WebhookDelivery.objects.create(message=message, event=message.event, endpoint=endpoint, **begun)
    return [endpoint.secret]


def _make_meters(customer: Organization, number: int) -> None:
    everything = {"filter": {"conjunction": "and", "clauses": []}, "aggregation": {"func": "count"}}
    for organization_id in (None, customer.id):
        create_meter(organization_id=organization_id, name=f"Meter {number}", at=timezone.now(), **everything)
    terms = BudgetTerms(name=f"Budget {number}", period="monthly", amount=usd("50"))
    create_budget(organization_id=customer.id, terms=terms, actor="test", at=timezone.now())


def _set_price(number: int) -> None:
    now = timezone.now()
    set_price(
        model_id=f"acme/model-{number}",
        pricing={"prompt": "0.000001", "completion": "0.000002"},
        effective_from=now,
        note="test",
        actor="test",
        at=now,
    )


def _look_as(owner: User, customer: Organization, number: int) -> None:
    operator = make_user(name=f"Operator {number}", is_staff=True)
    start_impersonation(
        operator=operator, person=owner, organization_id=customer.id, reason="A question", at=timezone.now()
    )


def _watch_doors(person: User, number: int) -> None:
    Group.objects.create(name=f"Group {number}")
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    seen: dict[str, Any] = {"username": person.email, "ip_address": "192.0.2.1", "path_info": "/accounts/login/"}
    AccessAttempt.objects.create(
        **seen, user_agent=f"browser {number}", post_data="password=****", failures_since_start=1
    )
    AccessLog.objects.create(**seen, user_agent="browser")
    AccessFailureLog.objects.create(**seen, user_agent="browser")


def _deal_with_provider(customer: Organization, number: int) -> list[str]:
    now = timezone.now()
    sub_key, own_key = f"sk-or-v1-subkey{number:050}", f"sk-or-v1-ownkey{number:050}"
    account, _ = ProviderAccount.objects.update_or_create(
        organization=customer,
        defaults={"name": f"farebox {number}", "secret": sub_key, "hash": f"{number:064}", "status": "active"},
    )
    due = {"retired_at": now, "delete_after": now, "next_attempt_at": now}
    RetiredKey.objects.create(account=account, hash=f"{number:064}", reason="rotated", **due)
    ByokCredential.objects.create(organization=customer, secret=own_key, last_four=f"{number:04}"[-4:], verified_at=now)
    RoutingRule.objects.create(
        match="acme/*", organization=customer, fallbacks=["acme/model"], provider={"sort": "price"}
    )
    Attempt.objects.create(organization=customer, hold_id=uuid7(), number=1, model="acme/model", started_at=now)
    KeyReading.objects.create(key_hash=f"{number:064}", usage=1, booked=1, taken_at=now)
    ReconciliationRun.objects.create(started_at=now)
    ReconciliationDifference.objects.create(
        scope="call", organization=customer, subject=f"gen-{number}", ours=1, theirs=2, difference=1, owner="gateway"
    )
    stored = ProviderAccount.objects.extra(select={"stored": "secret"}).get(pk=account.pk).stored
    return [sub_key, own_key, stored]
